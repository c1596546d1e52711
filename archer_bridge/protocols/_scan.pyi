from collections.abc import Callable

from archer_bridge.ports import EngineAudio, EngineEvent
from archer_bridge.protocols.scan import Receive, Send, Take, Write
from archer_bridge.protocols.scan import Sequence as Counted

VERSION: int

def twilio_media(message: str | bytes, stream_sid: bytes, /) -> tuple[int, int, bytes, bytes] | None: ...
def cartesia_audio(message: str | bytes, /) -> tuple[bytes, bytes] | None: ...

class Sequence(Counted): ...

class MediaSink:
    receive: Receive
    def __new__(cls, stream_sid: bytes, sequence: Counted, take: Take, otherwise: Receive, /) -> MediaSink: ...

class AudioSink:
    is_open: bool
    receive: Receive
    def __new__(
        cls, make: type[EngineAudio], on_event: Callable[[EngineEvent], None], otherwise: Receive, /
    ) -> AudioSink: ...

class Sender:
    write: Write | None
    def __new__(
        cls,
        head: bytes,
        tail: bytes,
        otherwise: Send,
        droppable: bool,
        /,
    ) -> Sender: ...
    def send(self, data: bytes, text: bytes | None, /) -> None: ...
