"""The states of a call and the only moves between them.

    created ──> connecting ──> active ──> ending ──> ended
     ^ │            │            │                     ^
     │ └──────────>─┼──────────>─┼─────────────────────┘
     └──────────<───┴──────────<─┘

`created`: Twilio was told to open a stream. `connecting`: a media stream spent the call's token. `active`: the
engine answered. `ending`: a goodbye or a transfer is being played. `ended`: an outcome is set, for good. A call
whose stream broke off while nobody wanted it to end goes back to `created`, when Twilio asks what follows.
Whoever changes a call's state asks this table, and the record changes it by one conditional update.
"""

from collections.abc import Mapping
from types import MappingProxyType

from archer_bridge.models import CallState

__all__ = ["TRANSITIONS", "allowed", "sources"]

TRANSITIONS: Mapping[CallState, frozenset[CallState]] = MappingProxyType(
    {
        CallState.CREATED: frozenset({CallState.CONNECTING, CallState.ENDED}),
        CallState.CONNECTING: frozenset({CallState.CREATED, CallState.ACTIVE, CallState.ENDED}),
        CallState.ACTIVE: frozenset({CallState.CREATED, CallState.ENDING, CallState.ENDED}),
        CallState.ENDING: frozenset({CallState.ENDED}),
        CallState.ENDED: frozenset(),
    }
)


def allowed(source: CallState, target: CallState) -> bool:
    """Say whether a call may move from `source` to `target`."""
    return target in TRANSITIONS[source]


def sources(target: CallState) -> frozenset[CallState]:
    """Return the states from which `target` can be reached in one move."""
    return frozenset(source for source, targets in TRANSITIONS.items() if target in targets)
