"""Every event of the log: name, then level, then what it means. docs/logs.md says the same; a test compares."""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, Mapping[str, str]]] = {
    # the process
    "service_started": {"info": "Settings, tools and database are in order."},
    "listening": {"info": "A listener (public, admin) takes connections at host and port."},
    "websocket_path": {
        "info": "Messages of this side (caller, engine) take the fast or the plain path; problem says why."
    },
    "draining": {"info": "A first SIGTERM or SIGINT came: not ready any more, live calls go on."},
    "drain_waiting": {"info": "The proxy had its time to notice; waiting for live calls to end."},
    "drain_deadline": {"warning": "Live calls outlasted server.max_drain_s; they end now, outcome drained."},
    "drained": {"info": "No call is live; the process exits."},
    "drain_failed": {"error": "A bug in the drain; the process exits all the same."},
    "service_stopped": {"info": "The process is about to exit; tools_left were still running."},
    "admin_drain": {"info": "An operator asked for no new calls; the process stays."},
    "admin_undrain": {"info": "An operator asked to take calls again."},
    # from Twilio
    "twilio_webhook_received": {
        "info": "A signed webhook; route says which.",
        "warning": "A Stream status callback in which Twilio says what was wrong with the stream.",
    },
    "twilio_websocket_accepted_for_cartesia": {"info": "A signed socket was accepted; it has yet to prove its call."},
    "twilio_stream_started": {"info": "The stream proved its call; route_up and route_down are the codec chains."},
    "twilio_socket_closed": {"debug": "Twilio's socket is closed, by whomever."},
    "twilio_bad_frame": {"debug": "An unusable message before the stream's start."},
    "twilio_message_raw": {"debug": "One message from or to Twilio, payloads cut and secrets removed."},
    "refused": {"warning": "Security: a request, socket or stream was refused; kind and reason say why."},
    # to Cartesia
    "connecting_to_cartesia": {"info": "The agent's socket is being opened."},
    "cartesia_connected": {"info": "The agent listens; connect_ms since the stream's start."},
    "cartesia_closed": {"info": "The agent's socket is closed, by whomever."},
    "cartesia_message_raw": {"debug": "One message from or to Cartesia, payloads cut and secrets removed."},
    "engine_connect_failed": {"warning": "One try to reach the agent failed; there may be another."},
    "engine_unavailable": {
        "error": "The agent could not be reached, refused, or never got ready; the call falls back."
    },
    "engine_refuses_us": {
        "error": "Key, money or rights: every call will be refused until somebody acts. Wake somebody."
    },
    "engine_lost": {"warning": "The agent's session broke off in mid-call; another one is being opened."},
    "engine_resumed": {"warning": "Another session of the agent goes on with the call; after_ms since the loss."},
    "breaker_opened": {
        "error": "The agent is in trouble: new calls hear the busy message for for_s; then one may try."
    },
    "breaker_closed": {"info": "The agent answers again: new calls are taken."},
    "engine_bad_frame": {
        "warning": "An unusable message from the agent: the first in a row, and the last one allowed."
    },
    "wrong_format": {"warning": "A side's audio is not what was promised, with the figures that show it."},
    "engine_fault": {"warning": "The agent sent an error event; a fatal one is followed by its closing."},
    "dtmf_output_unsupported": {"warning": "The agent wanted keys pressed; a media stream cannot carry them."},
    # the call
    "barge_in": {"info": "The caller interrupted; flushed_ms of agent audio were taken back."},
    "filler": {"info": "Silence was covered by a filler; why names the cause."},
    "farewell": {"info": "The call ends when its last words have been heard."},
    "stream_broke_off": {"warning": "Twilio's socket is gone without a word; the call may go on with another stream."},
    "stream_ended": {"info": "The stream that broke off was not the end of the call: the numbers until then."},
    "call_goes_on": {"warning": "Twilio was told to open another stream for a call whose stream broke off."},
    "minutes_budget": {
        "warning": "Four fifths of calls.daily_minutes are used today.",
        "error": "calls.daily_minutes are used up: callers hear the busy message until midnight UTC.",
    },
    "call_failed": {"error": "A bug ended this call, with its traceback; other calls go on."},
    "call_ended": {
        "info": "The one canonical line of a call: outcome, reason and every number.",
        "warning": "A caller heard the busy message: a limit was reached, a drain is on, or the breaker is open.",
    },
    # tools
    "tool_called": {"info": "The agent asked for a tool."},
    "tool_finished": {"info": "A tool's answer is durable and goes to the agent."},
    "tool_finished_unheard": {"info": "A tool finished after its call had ended; the row has its result."},
    "tool_resent": {"info": "The agent asked again for a call that was answered: it got the same answer."},
    "tool_timeout": {"warning": "A tool took longer than its limit; the agent was told."},
    "tool_late": {"error": "A side effect took longer than its limit and goes on; its row is unknown until it ends."},
    "tool_abandoned": {
        "error": "A side effect still ran a minute after its limit: it is given up, its row stays unknown."
    },
    "tool_crashed": {"error": "A tool raised something unexpected, with its traceback; the agent got an error."},
    "tool_backlog_full": {"warning": "The agent asks for more tools at once than tools.per_call allows to wait."},
    "tool_record_failed": {
        "error": "A tool's row could not be written: a side effect was not started, or is unproved."
    },
    "tool_runner_failed": {"error": "A bug in the tool runner, with its traceback; the agent got an error."},
    "tool_delivery_failed": {"error": "A tool's answer could not be handed to its call; the row has it."},
    # the record
    "store_opened": {"info": "The database, its version, and whether SQLite's WAL-reset bug is in it."},
    "store_unavailable": {"error": "The database cannot be written; live calls go on, payment tools refuse."},
    "store_recovered": {"info": "The database takes writes again."},
    "store_row_dropped": {"error": "Rows of transcripts or timelines are lost; the first and each thousandth is told."},
    "store_closed_untidily": {"warning": "The database did not close cleanly; nothing acknowledged is lost."},
    "record_failed": {"error": "The record was away; outcomes and leases are tried again, the rest is done without."},
    "record_late": {
        "info": "A call's row was written after tries that failed; recorded says whether it is this outcome."
    },
    "orphans_settled": {"warning": "Calls that an earlier process left open got their outcome."},
    "retention_purged": {
        "info": "What was too old is gone: words of calls, whole calls, recordings; how many of each."
    },
    "retention_failed": {"error": "What is too old could not be deleted; it is tried again in an hour."},
    "recording_failed": {"error": "A recording could not be written; the call goes on without it."},
    "filler_words_ready": {"info": "The spoken filler was made."},
    "filler_words_missing": {"warning": "The spoken filler could not be made; tones are used."},
    "filler_words_not_kept": {"warning": "The spoken filler could not be stored; the next start makes it again."},
}
