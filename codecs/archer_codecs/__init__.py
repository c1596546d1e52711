"""Streaming telephone codecs: exact, low in delay, planned by themselves, open to plugins.

    chain = plan(Format.parse("mulaw/8000"), Format.parse("pcm_s16le/16000")).build()
    audio = chain.feed(payload)

Needs numpy and `audioop` (`audioop-lts` from Python 3.13 on) and nothing else.
"""

import os

# Our matrices are small: threads of BLAS cost more than they bring and would fight over the cores of a live bridge.
# OpenBLAS, MKL and OpenMP read these when numpy is first imported, so they are set before; a user's choice stands.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from archer_codecs.builtin import BUILTIN_FAMILIES  # noqa: E402 - numpy comes in here, after the settings above
from archer_codecs.errors import (  # noqa: E402
    CodecError,
    FamilyError,
    FormatError,
    NoRouteError,
    PluginError,
    StageClosedError,
)
from archer_codecs.formats import (  # noqa: E402
    ALAW_8K,
    ENCODINGS,
    MULAW_8K,
    PCM16_8K,
    PCM16_16K,
    PCM16_24K,
    PCM16_44K1,
    RATES,
    Format,
)
from archer_codecs.framing import Reframer  # noqa: E402
from archer_codecs.guard import Evidence, FormatGuard  # noqa: E402
from archer_codecs.planner import Plan, negotiate, plan  # noqa: E402
from archer_codecs.plugins import load_families  # noqa: E402
from archer_codecs.resample import Resampler  # noqa: E402
from archer_codecs.samples import gain_stage  # noqa: E402
from archer_codecs.stage import Chain, Edge, Family, SampleMap, Stage  # noqa: E402

__all__ = [
    "ALAW_8K",
    "BUILTIN_FAMILIES",
    "ENCODINGS",
    "MULAW_8K",
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_24K",
    "PCM16_44K1",
    "RATES",
    "Chain",
    "CodecError",
    "Edge",
    "Evidence",
    "Family",
    "FamilyError",
    "Format",
    "FormatError",
    "FormatGuard",
    "NoRouteError",
    "Plan",
    "PluginError",
    "Reframer",
    "Resampler",
    "SampleMap",
    "Stage",
    "StageClosedError",
    "gain_stage",
    "load_families",
    "negotiate",
    "plan",
]
