"""The settings: one model per table of config.toml, every key with its default and its check."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from archer_bridge.config_urls import agent_socket_problem, database_url, public_url_problem, websocket_base

AudioFormat = Literal["mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"]


class Section(BaseModel):
    """One table of config.toml; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """The public listener."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_url: str = ""
    """What Twilio reaches, for example https://bridge.example.com; signatures are checked against it."""
    max_calls: int = Field(100, ge=1)
    insecure_dev: bool = False
    """Accept unsigned requests; refused unless `host` is a loopback address."""
    min_drain_s: float = Field(2.0, ge=0)
    max_drain_s: float = Field(3600.0, ge=0)
    instance: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")
    """This process's own name, the same after a restart and no other's: then a new process settles the calls of
    the dead one at once. Without it they are settled when their leases are over."""

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        if value and (problem := public_url_problem(value)):
            raise ValueError(problem)
        return value.rstrip("/")


class TwilioSettings(Section):
    """The Twilio account."""

    account_sid: str = Field("", pattern=r"^(AC[0-9a-fA-F]{32})?$")
    auth_token: SecretStr = SecretStr("")
    auth_token_secondary: SecretStr = SecretStr("")
    """Also accepted while a token is being rotated."""
    shared_keys: dict[str, SecretStr] = {}
    """Twilio SharedKeys: id = secret; requests signed with any other key are refused."""
    api_key: str = ""
    api_secret: SecretStr = SecretStr("")
    phone_number: str = ""
    """The number that `archer dev` points at this bridge; the account's only number when empty."""
    transfer_to: str = ""
    """Where transfer_to_human dials (E.164 or sip:); empty: apologise and hang up."""
    api_base_url: str = "https://api.twilio.com"


class CartesiaSettings(Section):
    """The Cartesia agent."""

    api_key: SecretStr = SecretStr("")
    agent_id: str = ""
    voice_id: str = ""
    ws_url: str = "wss://api.cartesia.ai"
    """Base of the agent socket; with a path it is used verbatim."""
    rest_url: str = "https://api.cartesia.ai"
    version: str = Field("2026-08-14", pattern=r"^\d{4}-\d{2}-\d{2}$")
    audio_format: AudioFormat = "mulaw_8000"
    output_delivery: Literal["speaking_pace", "as_available"] = "speaking_pace"
    connect_timeout_s: float = Field(2.0, gt=0)
    connect_attempts: int = Field(2, ge=1, le=5)
    connect_within_s: float = Field(2.5, gt=0)
    """For all tries together, before the caller hears the fallback."""
    resume_within_s: float = Field(2.2, gt=0)
    """From the loss of an agent in mid-call to another session that is ready; else the fallback."""
    resume_at_most: int = Field(3, ge=0)
    """New sessions of one call in a minute; 0: a lost agent ends the call."""
    breaker_failures: int = Field(5, ge=0)
    """Failed connections in a row after which new calls hear a busy message; 0: never."""
    breaker_open_s: float = Field(10.0, gt=0)
    """How long, before one call may try again."""

    @field_validator("ws_url")
    @classmethod
    def _ws_url(cls, value: str) -> str:
        if problem := agent_socket_problem(value):
            raise ValueError(problem)
        return value.rstrip("/")


class CallSettings(Section):
    """Limits and timers of one call."""

    token_ttl_s: float = Field(120.0, ge=10, le=600)
    start_timeout_s: float = Field(5.0, gt=0)
    idle_timeout_s: float = Field(20.0, gt=0)
    max_duration_s: float = Field(3300.0, gt=0)
    per_number: int = Field(5, ge=0)
    """Live calls of one phone number in one process; one more hears a busy message; 0: no limit."""
    daily_minutes: int = Field(0, ge=0)
    """Minutes of all calls from midnight UTC on after which callers hear a busy message; 0: no limit."""
    bad_frames_in_a_row: int = Field(50, ge=1)
    goodbye_wait_s: float = Field(20.0, gt=0)
    """Longest wait for the agent's goodbye before the line is closed all the same."""
    dead_air_s: float = Field(4.0, gt=0)
    """Silence, while the agent should speak, after which a filler is played; at twice this its session is replaced."""
    stream_resumes: int = Field(2, ge=0)
    """How often a call whose stream broke off goes on with another one; 0: never."""
    language: str = "en-US"


class AudioSettings(Section):
    """Playout towards Twilio."""

    lead_ms: int = Field(400, ge=60, le=10_000)
    """At most this much unheard audio is in flight to Twilio, so that an interruption stays cheap."""
    mark_every_ms: int = Field(400, ge=60, le=10_000)
    """A mark follows at least this often, so that what was heard is proved."""


class RecordingSettings(Section):
    """The stereo WAV of a call: caller left, agent as heard right."""

    enabled: bool = False
    folder: Path = Path("var/recordings")
    encoding: Literal["mulaw", "pcm16"] = "mulaw"
    retention_days: int = Field(30, ge=1)


class RetentionSettings(Section):
    """How long the database keeps what is personal, in days after a call's end; 0: for ever."""

    words_days: int = Field(365, ge=0)
    """Transcripts, tool arguments and results."""
    calls_days: int = Field(1095, ge=0)
    """Everything else of a call but its outcome, its instants and what was arranged."""


class AgentSettings(Section):
    """Archer's persona, given to the engine as variables."""

    name: str = "Archer"
    company: str = "Example Credit"
    greeting: str = (
        "Hello, this is Archer from Example Credit. To find your account, please tell me the last four digits "
        "of your account number and your postal code."
    )
    resuming: str = "I am sorry, the line was interrupted for a moment."


class AdminSettings(Section):
    """The admin listener: metrics, drain, live calls. Never on the public port."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(8001, ge=0, le=65535)
    token: SecretStr = SecretStr("")


class LogSettings(Section):
    """How the log looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class ToolsSettings(BaseModel):
    """Which tools are on, their limits, and one free table per tool."""

    model_config = ConfigDict(extra="allow", frozen=True)

    enabled: list[str] = [
        "verify_account",
        "get_customer_options",
        "process_payment",
        "transfer_to_human",
        "end_call",
    ]
    local: dict[str, str] = {}
    timeout_s: float = Field(8.0, gt=0)
    per_call: int = Field(4, ge=1)
    in_all: int = Field(64, ge=1)

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The `[tools.NAME]` tables."""
        return {name: value for name, value in (self.model_extra or {}).items() if isinstance(value, dict)}


class Settings(BaseSettings):
    """Every setting of the bridge, immutable once loaded."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="ARCHER_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    server: ServerSettings = ServerSettings()  # type: ignore[call-arg]  # every field has a default
    twilio: TwilioSettings = TwilioSettings()  # type: ignore[call-arg]  # every field has a default
    cartesia: CartesiaSettings = CartesiaSettings()  # type: ignore[call-arg]  # every field has a default
    calls: CallSettings = CallSettings()  # type: ignore[call-arg]  # every field has a default
    audio: AudioSettings = AudioSettings()  # type: ignore[call-arg]  # every field has a default
    recording: RecordingSettings = RecordingSettings()  # type: ignore[call-arg]  # every field has a default
    retention: RetentionSettings = RetentionSettings()  # type: ignore[call-arg]  # every field has a default
    agent: AgentSettings = AgentSettings()
    tools: ToolsSettings = ToolsSettings()  # type: ignore[call-arg]  # every field has a default
    admin: AdminSettings = AdminSettings()  # type: ignore[call-arg]  # every field has a default
    log: LogSettings = LogSettings()
    database_url: str = "sqlite+aiosqlite:///var/archer.db"

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        return database_url(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` gives: it reads the sources itself, so that it can name them all."""
        return (init_settings,)

    def serving_problems(self) -> list[str]:
        """Return what is missing or unsafe for taking real calls, one sentence each."""
        problems = []
        required = {
            "TWILIO_ACCOUNT_SID (the AC… id of your Twilio account)": self.twilio.account_sid,
            "TWILIO_AUTH_TOKEN (signatures are checked with it)": self.twilio.auth_token.get_secret_value(),
            "WEBHOOK_BASE_URL (the public https address that Twilio reaches)": self.server.public_url,
            "CARTESIA_API_KEY": self.cartesia.api_key.get_secret_value(),
            "CARTESIA_AGENT_ID": self.cartesia.agent_id,
        }
        problems += [f"{name} is not set" for name, value in required.items() if not value]
        if self.server.insecure_dev and self.server.host not in {"127.0.0.1", "::1", "localhost"}:
            problems.append(
                f"server.insecure_dev accepts unsigned requests and server.host is {self.server.host}: "
                "use it on 127.0.0.1 only"
            )
        loopback = self.admin.host in {"127.0.0.1", "::1", "localhost"}
        if self.admin.enabled and not loopback and len(self.admin.token.get_secret_value()) < 16:
            problems.append(
                f"admin.host is {self.admin.host}, not loopback: set ARCHER_ADMIN__TOKEN to at least 16 characters"
            )
        return problems

    def websocket_url(self) -> str:
        """Return the public address of the media stream socket."""
        return websocket_base(self.server.public_url) + "/ws/cartesia"
