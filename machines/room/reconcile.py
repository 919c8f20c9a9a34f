"""Reconciliation: compares the homeserver's topology with the stored rows; returns the changes (contract section 6).

The topology is the authority. A Space counts if the bot created it; a child counts if the bot linked it, with a
non-empty `via`, created it and is in it (contract C2). State that a user can write is ignored: a Space of their own, a
link, a room that names a parent, state that resembles a binding. Bindings are the bot's own account data and carry
what the topology does not have: ids, agent, archived flag. Chats without ids get them in order of creation time, then
room id: each id is the next above the highest known (contract C4). Where no `platform_chat_id` is known, the first is
the time at which that room was created (contract A5).

The same code plans all rooms at start and one room at run time. A plan that is applied twice changes nothing the
second time.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from machines.events.internal import TopologyConfirmed
from machines.ids import AgentId, RoomId, UserId
from machines.room.binding import (
    Binding,
    StoredBinding,
    chat_number,
    first_platform_number,
    platform_number,
    read_stored_binding,
)
from machines.room.plan import Plan, Remark, StoredState
from machines.room.topology import ObservedRoom, Topology
from machines.user.machine import User

NO_BINDING = "the homeserver shows no valid binding for it"


class Planner:
    """Compares the topology with the stored rows. The same arguments give the same plan, in the same order."""

    def __init__(
        self,
        topology: Topology,
        stored: StoredState,
        default_agent: Callable[[UserId], AgentId],
        allows: Callable[[UserId], bool],
    ) -> None:
        self.topology = topology
        self.stored = stored
        self.default_agent = default_agent
        self.allows = allows
        self.rooms = sorted(
            topology.rooms.values(), key=lambda room: (room.created_at_ms, room.room_id)
        )
        self.own_spaces = [room for room in self.rooms if topology.is_own_space(room)]
        self.stored_bindings = {
            each.room_id: read_stored_binding(each.binding) for each in self.rooms
        }
        self.found: dict[RoomId, TopologyConfirmed] = {}
        self.conflicts: list[Remark] = []
        self.skipped: list[Remark] = []
        self.reasons: dict[RoomId, str] = {}

    def plan(self) -> Plan:
        """Return the plan."""
        parents = self._parents()
        owners = self._bind_spaces(set(parents))
        chats = self._chats(parents, owners)
        seq = self._bind_chats(chats)
        self._bind_entry_rooms()
        return self._compare(seq, len(owners))

    # -- Spaces ------------------------------------------------------------------------------------

    def _parents(self) -> dict[RoomId, list[RoomId]]:
        """Return the Spaces of each room that counts as a child (contract C2)."""
        parents: dict[RoomId, list[RoomId]] = {}
        for space in self.own_spaces:
            for child in space.children:
                if child.room_id == space.room_id or not child.via:
                    continue
                room = self.topology.rooms.get(child.room_id)
                if child.sender != self.topology.bot:
                    reason = f"linked in {space.room_id} by {child.sender}"
                elif room is None:
                    reason = f"a child of {space.room_id} the bot is not joined to"
                elif room.created_by != self.topology.bot:
                    reason = f"a child of {space.room_id} the bot did not create"
                else:
                    parents.setdefault(child.room_id, []).append(space.room_id)
                    continue
                self._skip(child.room_id, reason)
        return parents

    def _bind_spaces(self, children: set[RoomId]) -> dict[RoomId, UserId]:
        """Bind the Spaces whose owner is known, and return the owners (contract C3)."""
        owners: dict[RoomId, UserId] = {}
        for space in self.own_spaces:
            if space.room_id in children:
                self._skip(space.room_id, "a Space inside a Space is not used")
            elif (owner := self._owner(space)) is not None:
                owners[space.room_id] = owner
                self._bind(space, Binding("space", owner))
        return owners

    def _owner(self, space: ObservedRoom) -> UserId | None:
        stored_binding = self.stored_bindings[space.room_id]
        if stored_binding.room_type == "space" and stored_binding.matrix_user_id is not None:
            return stored_binding.matrix_user_id
        candidates = space.members or ()
        if len(candidates) == 1:
            return candidates[0]
        row = self.stored.rooms.get(space.room_id)
        known = row.binding.matrix_user_id if row is not None and row.binding else None
        if known is not None and (known in candidates or not candidates):
            return known
        if candidates:
            reason = f"{len(candidates)} members could own this Space, and it has no binding"
            self._refuse(space.room_id, reason)
        else:
            self._skip(space.room_id, "a Space without a binding and without another member")
        return None

    # -- chats -------------------------------------------------------------------------------------

    def _chats(
        self, parents: Mapping[RoomId, list[RoomId]], owners: Mapping[RoomId, UserId]
    ) -> list[tuple[ObservedRoom, RoomId, UserId]]:
        """Return the chats, each with its Space and its owner."""
        chats = []
        for room in self.rooms:
            spaces = [space for space in parents.get(room.room_id, ()) if space in owners]
            if room.is_space or room.room_id not in parents:
                continue
            if not spaces:
                self._skip(room.room_id, "a child of a Space whose owner is not known")
                continue
            bound_to = (room.binding or {}).get("space_id")
            space = bound_to if bound_to in spaces else spaces[0]
            if len(spaces) > 1 and bound_to not in spaces:
                reason = f"linked in {len(spaces)} Spaces; used as a child of {space}"
                self.conflicts.append(Remark(room.room_id, reason))
            owner = self.stored_bindings[room.room_id].matrix_user_id or owners[space]
            if owner != owners[space]:
                self._refuse(room.room_id, f"bound to {owner} inside the Space of {owners[space]}")
                continue
            chats.append((room, space, owner))
        return chats

    def _bind_chats(self, chats: list[tuple[ObservedRoom, RoomId, UserId]]) -> int:
        """Bind every chat with the ids of its binding, else of its row, else the next ones (contract C4).

        Returns the highest `platform_chat_id`.
        """
        known: dict[RoomId, StoredBinding] = {}
        used_chat_ids: set[tuple[UserId, str]] = set()
        used_contexts = self._contexts_of_other_rooms()
        for room, _, owner in chats:
            ids = self._binding_or_row(room, owner)
            if (owner, ids.chat_id or "") in used_chat_ids:
                self._replace_duplicate(room.room_id, f"chat id {ids.chat_id}")
                ids = replace(ids, chat_id=None)
            if ids.platform_chat_id in used_contexts:
                self._replace_duplicate(room.room_id, f"context {ids.platform_chat_id}")
                ids = replace(ids, platform_chat_id=None)
            used_chat_ids.add((owner, ids.chat_id or room.room_id))
            used_contexts.add(ids.platform_chat_id or "")
            known[room.room_id] = ids
        highest, seq = self._highest(chats)
        if not seq:
            seq = first_platform_number(room.created_at_ms for room, _, _ in chats) - 1
        for room, space, owner in chats:
            ids = known[room.room_id]
            if room.room_id in self.stored.in_flight and not (ids.chat_id and ids.platform_chat_id):
                continue  # its user's actor assigns the missing ids
            if ids.chat_id is None:
                highest[owner] = highest.get(owner, 0) + 1
                ids = replace(ids, chat_id=f"C{highest[owner]}")
            if ids.platform_chat_id is None:
                seq += 1
                ids = replace(ids, platform_chat_id=str(seq))
            binding = Binding(
                room_type="chat",
                matrix_user_id=owner,
                chat_id=ids.chat_id,
                platform_chat_id=ids.platform_chat_id,
                agent_id=ids.agent_id or self.default_agent(owner),
                space_id=space,
                archived=ids.archived,
            )
            self._bind(room, binding)
        return seq

    def _contexts_of_other_rooms(self) -> set[str]:
        """Return the contexts of bound rooms that this topology does not show: no other room may use them."""
        if self.topology.whole:
            return set()
        return {
            row.binding.platform_chat_id
            for room_id, row in self.stored.rooms.items()
            if row.state == "bound" and room_id not in self.topology.rooms
            if row.binding is not None and row.binding.platform_chat_id is not None
        }

    def _binding_or_row(self, room: ObservedRoom, owner: UserId) -> StoredBinding:
        """Return the binding on the homeserver, completed from the row if that has the same owner."""
        remote, row = self.stored_bindings[room.room_id], self.stored.rooms.get(room.room_id)
        if remote.room_type != "chat":
            remote = StoredBinding()
        local = row.binding if row is not None else None
        if local is None or local.room_type != "chat" or local.matrix_user_id != owner:
            return remote
        return StoredBinding(
            room_type="chat",
            matrix_user_id=owner,
            chat_id=remote.chat_id or (local.chat_id if chat_number(local.chat_id) else None),
            platform_chat_id=remote.platform_chat_id
            or (local.platform_chat_id if platform_number(local.platform_chat_id) else None),
            agent_id=remote.agent_id or local.agent_id,
            archived=remote.archived if remote.room_type else local.archived,
        )

    def _highest(
        self, chats: Iterable[tuple[ObservedRoom, RoomId, UserId]]
    ) -> tuple[dict[UserId, int], int]:
        """Return the highest chat number of each owner and the highest context, known from anywhere."""
        highest = {user.user_id: user.next_chat_index - 1 for user in self.stored.users.values()}
        seq = self.stored.platform_chat_seq
        rows = [row.binding for row in self.stored.rooms.values() if row.binding is not None]
        former = map(read_stored_binding, self.topology.former.values())
        known: list[tuple[UserId, Binding | StoredBinding]] = [
            *((binding.matrix_user_id, binding) for binding in rows),
            *((owner, self.stored_bindings[room.room_id]) for room, _, owner in chats),
            *((each.matrix_user_id, each) for each in former if each.matrix_user_id is not None),
        ]
        for owner, ids in known:
            highest[owner] = max(highest.get(owner, 0), chat_number(ids.chat_id))
            seq = max(seq, platform_number(ids.platform_chat_id))
        for remote in self.stored_bindings.values():
            seq = max(seq, platform_number(remote.platform_chat_id))
        return highest, seq

    # -- entry rooms, and what is common -----------------------------------------------------------

    def _bind_entry_rooms(self) -> None:
        """Bind the rooms of others that an allowed user invited the bot to (contract O6)."""
        for room in self.rooms:
            if room.room_id in self.found or room.room_id in self.reasons:
                continue
            if room.created_by == self.topology.bot:
                if room.room_id not in self.stored.in_flight:
                    self._skip(
                        room.room_id, "created by the bot, and linked in no Space of the bot"
                    )
                continue
            remote = self.stored_bindings[room.room_id]
            inviter = remote.matrix_user_id if remote.room_type == "entry" else None
            inviter = inviter or room.invited_by
            if inviter is None:
                self._skip(
                    room.room_id, "a room of others, and it is not known who invited the bot"
                )
            elif not self.allows(inviter):
                self._skip(room.room_id, f"{inviter}, who invited the bot, may not talk to it")
            else:
                self._bind(room, Binding("entry", inviter))

    def _bind(self, room: ObservedRoom, binding: Binding) -> None:
        row = self.stored.rooms.get(room.room_id)
        self.found[room.room_id] = TopologyConfirmed(
            binding=binding,
            name=room.name or (row.name if row is not None else "") or "",
            encrypted=room.encrypted or (row is not None and row.encrypted),
            backfill=dict(room.binding or {}) != binding.content(),
            others=room.others,
            owner_membership=room.owner_membership,
        )

    def _skip(self, room_id: RoomId, reason: str) -> None:
        self.skipped.append(Remark(room_id, reason))
        self.reasons.setdefault(room_id, reason)

    def _refuse(self, room_id: RoomId, reason: str) -> None:
        self.conflicts.append(Remark(room_id, reason))
        self.reasons[room_id] = reason

    def _replace_duplicate(self, room_id: RoomId, duplicate: str) -> None:
        reason = f"{duplicate} is used by another room; this room gets a new one"
        self.conflicts.append(Remark(room_id, reason))

    # -- the comparison ----------------------------------------------------------------------------

    def _compare(self, seq: int, spaces: int) -> Plan:
        in_flight = self.stored.in_flight
        found = {room_id: each for room_id, each in self.found.items() if room_id not in in_flight}
        changed: list[RoomId] = []
        unchanged: list[RoomId] = []
        for room_id, each in found.items():
            row = self.stored.rooms.get(room_id)
            as_bound = ("bound", each.binding, each.name, each.encrypted)
            same = row and (row.state, row.binding, row.name, row.encrypted) == as_bound
            (unchanged if same else changed).append(room_id)
        refused: dict[RoomId, str] = {}
        gone = []
        for room_id, row in self.stored.rooms.items():
            if room_id in found or room_id in in_flight or row.state == "unregistered":
                continue
            if room_id not in self.topology.rooms:
                gone.append(room_id)
            elif row.state != "failed":
                refused[room_id] = self.reasons.get(room_id, NO_BINDING)
        return Plan(
            found=found,
            changed=tuple(changed),
            unchanged=tuple(unchanged),
            refused=refused,
            gone=tuple(gone),
            users=tuple(self._users()),
            platform_chat_seq=seq,
            spaces=spaces,
            conflicts=tuple(self.conflicts),
            skipped=tuple(self.skipped),
        )

    def _users(self) -> Iterable[User]:
        """Yield the users whose row changes: their Space, and a chat counter above every recovered chat."""
        spaces: dict[UserId, list[RoomId]] = {}
        numbers: dict[UserId, int] = {}
        for room_id, each in self.found.items():
            owner = each.binding.matrix_user_id
            if each.binding.room_type == "space":
                spaces.setdefault(owner, []).append(room_id)
            elif each.binding.room_type == "chat":
                numbers[owner] = max(numbers.get(owner, 0), chat_number(each.binding.chat_id))
        for owner in sorted({*spaces, *numbers, *self.stored.users}):
            before = self.stored.users.get(owner, User(owner))
            own_spaces = spaces.get(owner, [])
            for extra in own_spaces[1:]:
                self.conflicts.append(Remark(extra, f"a further Space of {owner}"))
            space_id = (
                before.space_id if before.space_id in own_spaces else next(iter(own_spaces), None)
            )
            if space_id is None and before.state != "resting":
                space_id = before.space_id
            index = max(before.next_chat_index, numbers.get(owner, 0) + 1)
            after = replace(before, space_id=space_id, next_chat_index=index)
            if after != before:
                yield after
