"""Reconciliation: compares the homeserver's topology with the stored rows; returns the changes (contract section 6).

The topology is the authority. A Space counts if the bot created it; a child counts if the bot linked it, with a
non-empty `via`, created it and is in it (contract C2). Whatever a user can write is ignored: a Space of their own, a
link, a room that names a parent, state that looks like a binding. Bindings are the bot's own account data and carry
what the topology cannot: numbers, agent, archived flag. A chat without numbers gets them by one rule: in order of
creation time, then room id, each the next above the highest known of its kind (contract C4); where no
`platform_chat_id` is known, the first is the time at which that room was created (contract A5).

The same plan serves all rooms at start and one room at run time. Applied twice, the second time it changes nothing.
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
from machines.room.plan import Plan, Remark, Stored
from machines.room.topology import ObservedRoom, Topology
from machines.user.machine import User


def plan(
    topology: Topology,
    stored: Stored,
    default_agent: Callable[[UserId], AgentId],
    allows: Callable[[UserId], bool],
) -> Plan:
    """Compare the topology with the stored rows. The same arguments give the same plan, in the same order."""
    return _Planner(topology, stored, default_agent, allows).plan()


class _Planner:
    def __init__(
        self,
        topology: Topology,
        stored: Stored,
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
        self.claims = {room.room_id: read_stored_binding(room.binding) for room in self.rooms}
        self.found: dict[RoomId, TopologyConfirmed] = {}
        self.conflicts: list[Remark] = []
        self.skipped: list[Remark] = []
        self.why: dict[RoomId, str] = {}

    def plan(self) -> Plan:
        parents = self._parents()
        owners = self._spaces({child for child, spaces in parents.items() if spaces})
        chats = self._chats(parents, owners)
        seq = self._number(chats)
        self._entries()
        return self._compare(seq, len(owners))

    # -- Spaces ------------------------------------------------------------------------------------

    def _parents(self) -> dict[RoomId, list[RoomId]]:
        """Return, for each room that counts as a child, the Spaces it counts in (contract C2)."""
        parents: dict[RoomId, list[RoomId]] = {}
        for space in self.rooms:
            if not (space.is_space and space.created_by == self.topology.bot):
                continue
            for child in space.children:
                if child.room_id == space.room_id or not child.via:
                    continue
                if child.sender != self.topology.bot:
                    self._skip(child.room_id, f"linked in {space.room_id} by {child.sender}")
                    continue
                room = self.topology.rooms.get(child.room_id)
                if room is None:
                    self._skip(
                        child.room_id, f"a child of {space.room_id} the bot is not joined to"
                    )
                elif room.created_by != self.topology.bot:
                    self._skip(child.room_id, f"a child of {space.room_id} the bot did not create")
                else:
                    parents.setdefault(child.room_id, []).append(space.room_id)
        return parents

    def _spaces(self, children: set[RoomId]) -> dict[RoomId, UserId]:
        """Find each Space's owner (contract C3)."""
        owners: dict[RoomId, UserId] = {}
        for space in self.rooms:
            if not (space.is_space and space.created_by == self.topology.bot):
                continue
            if space.room_id in children:
                self._skip(
                    space.room_id, "a Space inside a Space is neither a chat nor looked into"
                )
                continue
            owner = self._owner(space)
            if owner is None:
                continue
            owners[space.room_id] = owner
            self._find(space, Binding("space", owner))
        return owners

    def _owner(self, space: ObservedRoom) -> UserId | None:
        claim = self.claims[space.room_id]
        if claim.room_type == "space" and claim.matrix_user_id is not None:
            return claim.matrix_user_id
        candidates = space.members or ()
        if len(candidates) == 1:
            return candidates[0]
        row = self.stored.rooms.get(space.room_id)
        known = row.binding.matrix_user_id if row is not None and row.binding else None
        if known is not None and (known in candidates or not candidates):
            return known
        if candidates:
            reason = f"{len(candidates)} members could own this Space, and nothing says which"
            self.conflicts.append(Remark(space.room_id, reason))
            self.why[space.room_id] = reason
        else:
            self._skip(space.room_id, "a Space without a binding and without another member")
        return None

    # -- chats -------------------------------------------------------------------------------------

    def _chats(
        self, parents: Mapping[RoomId, list[RoomId]], owners: Mapping[RoomId, UserId]
    ) -> list[tuple[ObservedRoom, RoomId, UserId]]:
        chats = []
        for room in self.rooms:
            spaces = [space for space in parents.get(room.room_id, ()) if space in owners]
            if room.is_space or room.room_id not in parents:
                continue
            if not spaces:
                self._skip(room.room_id, "a child of a Space whose owner is not known")
                continue
            claimed = (room.binding or {}).get("space_id")
            space = claimed if claimed in spaces else spaces[0]
            if len(spaces) > 1 and claimed not in spaces:
                reason = f"linked in {len(spaces)} Spaces; taken as a child of {space}"
                self.conflicts.append(Remark(room.room_id, reason))
            owner = self.claims[room.room_id].matrix_user_id or owners[space]
            if owner != owners[space]:
                reason = f"bound to {owner} inside the Space of {owners[space]}"
                self.conflicts.append(Remark(room.room_id, reason))
                self.why[room.room_id] = reason
                continue
            chats.append((room, space, owner))
        return chats

    def _number(self, chats: list[tuple[ObservedRoom, RoomId, UserId]]) -> int:
        """Give every chat its ids: the binding's, else the row's, else the next (contract C4)."""
        kept: dict[RoomId, StoredBinding] = {}
        used_chat_ids: set[tuple[UserId, str]] = set()
        used_contexts = self._contexts_elsewhere()
        for room, _, owner in chats:
            claim = self._claim_or_row(room, owner)
            if (owner, claim.chat_id or "") in used_chat_ids:
                self._duplicate(room.room_id, f"chat id {claim.chat_id} is another room's")
                claim = replace(claim, chat_id=None)
            if claim.platform_chat_id in used_contexts:
                self._duplicate(room.room_id, f"context {claim.platform_chat_id} is another room's")
                claim = replace(claim, platform_chat_id=None)
            used_chat_ids.add((owner, claim.chat_id or room.room_id))
            used_contexts.add(claim.platform_chat_id or "")
            kept[room.room_id] = claim
        highest, seq = self._highest(chats)
        if not seq:
            seq = first_platform_number(room.created_at_ms for room, _, _ in chats) - 1
        for room, space, owner in chats:
            claim = kept[room.room_id]
            if room.room_id in self.stored.in_flight and not (
                claim.chat_id and claim.platform_chat_id
            ):
                continue  # its user's actor gives it the missing ids; none are reserved here
            if claim.chat_id is None:
                highest[owner] = highest.get(owner, 0) + 1
                claim = replace(claim, chat_id=f"C{highest[owner]}")
            if claim.platform_chat_id is None:
                seq += 1
                claim = replace(claim, platform_chat_id=str(seq))
            binding = Binding(
                room_type="chat",
                matrix_user_id=owner,
                chat_id=claim.chat_id,
                platform_chat_id=claim.platform_chat_id,
                agent_id=claim.agent_id or self.default_agent(owner),
                space_id=space,
                archived=claim.archived,
            )
            self._find(room, binding)
        return seq

    def _contexts_elsewhere(self) -> set[str]:
        """Return the contexts of bound rooms that this topology does not show: no other room may use them."""
        if self.topology.whole:
            return set()
        return {
            row.binding.platform_chat_id
            for room_id, row in self.stored.rooms.items()
            if row.state == "bound" and room_id not in self.topology.rooms
            if row.binding is not None and row.binding.platform_chat_id is not None
        }

    def _claim_or_row(self, room: ObservedRoom, owner: UserId) -> StoredBinding:
        claim, row = self.claims[room.room_id], self.stored.rooms.get(room.room_id)
        if claim.room_type != "chat":
            claim = StoredBinding()
        local = row.binding if row is not None else None
        if local is None or local.room_type != "chat" or local.matrix_user_id != owner:
            return claim
        return StoredBinding(
            room_type="chat",
            matrix_user_id=owner,
            chat_id=claim.chat_id or (local.chat_id if chat_number(local.chat_id) else None),
            platform_chat_id=claim.platform_chat_id
            or (local.platform_chat_id if platform_number(local.platform_chat_id) else None),
            agent_id=claim.agent_id or local.agent_id,
            archived=claim.archived if claim.room_type else local.archived,
        )

    def _highest(
        self, chats: Iterable[tuple[ObservedRoom, RoomId, UserId]]
    ) -> tuple[dict[UserId, int], int]:
        """Return the highest chat number of each owner and the highest context, known from anywhere."""
        highest = {user.user_id: user.next_chat_index - 1 for user in self.stored.users.values()}
        seq = self.stored.platform_chat_seq
        bindings = [row.binding for row in self.stored.rooms.values() if row.binding is not None]
        known = [(each.matrix_user_id, each.chat_id, each.platform_chat_id) for each in bindings]
        known += [
            (owner, self.claims[room.room_id].chat_id, self.claims[room.room_id].platform_chat_id)
            for room, _, owner in chats
        ]
        known += [
            (claim.matrix_user_id, claim.chat_id, claim.platform_chat_id)
            for claim in map(read_stored_binding, self.topology.former.values())
            if claim.matrix_user_id is not None
        ]
        for owner, chat_id, platform_chat_id in known:
            highest[owner] = max(highest.get(owner, 0), chat_number(chat_id))
            seq = max(seq, platform_number(platform_chat_id))
        for claim in self.claims.values():
            seq = max(seq, platform_number(claim.platform_chat_id))
        return highest, seq

    # -- entry rooms, and the rest -----------------------------------------------------------------

    def _entries(self) -> None:
        """A room of others that an allowed user invited the bot to (contract O6)."""
        for room in self.rooms:
            if room.room_id in self.found or room.room_id in self.why:
                continue
            if room.created_by == self.topology.bot:
                if room.room_id not in self.stored.in_flight:
                    self._skip(room.room_id, "made by the bot, and linked in no Space of its own")
                continue
            claim = self.claims[room.room_id]
            by = claim.matrix_user_id if claim.room_type == "entry" else None
            by = by or room.invited_by
            if by is None:
                self._skip(room.room_id, "a room of others, and nothing says who invited the bot")
            elif not self.allows(by):
                self._skip(room.room_id, f"{by}, who invited the bot, may not talk to it")
            else:
                self._find(room, Binding("entry", by))

    def _find(self, room: ObservedRoom, binding: Binding) -> None:
        row = self.stored.rooms.get(room.room_id)
        self.found[room.room_id] = TopologyConfirmed(
            binding=binding,
            name=room.name or (row.name if row is not None else "") or "",
            encrypted=room.encrypted or (row is not None and row.encrypted),
            backfill=dict(room.binding or {}) != binding.content(),
            others=room.others,
        )

    def _skip(self, room_id: RoomId, reason: str) -> None:
        self.skipped.append(Remark(room_id, reason))
        self.why.setdefault(room_id, reason)

    def _duplicate(self, room_id: RoomId, reason: str) -> None:
        self.conflicts.append(Remark(room_id, f"{reason}; it got a new one"))

    # -- the comparison ----------------------------------------------------------------------------

    def _compare(self, seq: int, spaces: int) -> Plan:
        alone = self.stored.in_flight
        found = {room_id: each for room_id, each in self.found.items() if room_id not in alone}
        changed: list[RoomId] = []
        unchanged: list[RoomId] = []
        for room_id, each in found.items():
            row = self.stored.rooms.get(room_id)
            same = (
                row is not None
                and row.state == "bound"
                and (row.binding, row.name, row.encrypted)
                == (each.binding, each.name, each.encrypted)
            )
            (unchanged if same else changed).append(room_id)
        refused: dict[RoomId, str] = {}
        gone = []
        for room_id, row in self.stored.rooms.items():
            if room_id in found or room_id in alone or row.state == "unregistered":
                continue
            if room_id not in self.topology.rooms:
                gone.append(room_id)
            elif row.state != "failed":
                refused[room_id] = self.why.get(room_id, "the homeserver shows nothing it could be")
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
        """Yield the users whose row changes: their Space, and a counter past everything recovered."""
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
            mine = spaces.get(owner, [])
            for extra in mine[1:]:
                self.conflicts.append(Remark(extra, f"a further Space of {owner}"))
            space_id = before.space_id if before.space_id in mine else next(iter(mine), None)
            if space_id is None and before.state != "resting":
                space_id = before.space_id
            index = max(before.next_chat_index, numbers.get(owner, 0) + 1)
            after = replace(before, space_id=space_id, next_chat_index=index)
            if after != before:
                yield after
