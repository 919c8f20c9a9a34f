"""The way back into a chat: opens it again, and invites its owner again (contract K12).

The room's actor decides, because it owns the row that says whether the chat is archived and whether its owner is in it.
"""

from msgspec.structs import replace

from machines.commands.base import answer
from machines.events.effects import Enqueue, Tell
from machines.events.internal import AnswerReady, WayBackRequested
from machines.events.orders import CompleteRoom, EnsureInvited, StoreBinding
from machines.ids import ActorKey, AgentId, TxnId
from machines.room.step_draft import StepDraft


def give_way_back(draft: StepDraft, request: WayBackRequested) -> None:
    """Open the chat, invite its owner where they are missing, and answer the command once."""
    room, binding, reply_to = draft.room, draft.room.binding, request.reply_to
    if binding is None or binding.space_id is None:
        return  # the user's actor asks chats only
    catalog, agent_id = draft.catalog, binding.agent_id or AgentId("")
    label = draft.context.agents.label(agent_id)
    name, link = room.name or binding.chat_id or "", draft.context.link(room.room_id)
    reopened, is_bound = request.reopened, room.state == "bound"
    if is_bound and binding.archived:
        reopened = True
        binding = replace(binding, archived=False)
        draft.room = replace(room, binding=binding)
        store = StoreBinding(room.room_id, binding.content())
        draft.effects.append(Enqueue(store, TxnId(f"{reply_to.event_id}.reopen")))
    if is_bound and binding.space_id is not None:
        complete = CompleteRoom(room.room_id, binding.space_id, catalog.chat_topic(label))
        draft.effects.append(Enqueue(complete, TxnId(f"{reply_to.event_id}.complete")))
    # Ordered always: the owner may have left a moment ago, and an invitation that is not needed is not sent.
    invite = EnsureInvited(room.room_id, binding.matrix_user_id, catalog.invitation_back(label))
    draft.effects.append(Enqueue(invite, TxnId(f"{reply_to.event_id}.invite")))
    text = catalog.chat_opened(
        name,
        link,
        state="failed" if not is_bound else "again" if reopened else "already",
        membership=room.owner_membership,
        stale_agent=None if draft.context.agents.knows(agent_id) else label,
        invited_to_space=request.invited_to_space,
    )
    if reply_to.room_id == room.room_id:
        draft.effects.append(answer(reply_to, text))
        return
    ready = AnswerReady(reply_to, text, catalog.not_in_shared_room("open"), binding.matrix_user_id)
    draft.effects.append(Tell(ActorKey(reply_to.room_id), ready))
