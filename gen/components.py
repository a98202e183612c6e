"""The parts of every unit's datapath, each as Verilog of its own.

Who measures a part, or works on it, wants it alone: its area, its depth, its equivalence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.lib import data, wiring

from amxfp4.gen.config import UnitConfig, choose
from amxfp4.gen.engine_registers import REGISTERS, constants
from amxfp4.gen.netlist import to_verilog
from amxfp4.rtl import dot_ideas, quantizer_ideas
from amxfp4.rtl.block_product import BlockProduct
from amxfp4.rtl.bridge import Bridge
from amxfp4.rtl.dequantizer import ElementDequantizer, ScaleDecoder
from amxfp4.rtl.dot import BeatSequencer, ProcessingElement
from amxfp4.rtl.dot_accumulate import Addend, Adder, ResultWord, SumNormaliser
from amxfp4.rtl.dot_sums import ClassSums, ElementProduct
from amxfp4.rtl.dot_terms import ClassSequencer, Terms
from amxfp4.rtl.engine import ADDRESS_BITS
from amxfp4.rtl.engine_drain import BeatPacker, TileDrain, drain_width
from amxfp4.rtl.engine_inputs import RecordInput, WordInput
from amxfp4.rtl.engine_job import JobControl
from amxfp4.rtl.engine_sequencer import StepSequencer
from amxfp4.rtl.engine_tiles import TileLoader, TileMemory
from amxfp4.rtl.engine_uart import LAMPS, Lamps
from amxfp4.rtl.frames import Crc32, FrameReceiver, FrameSender
from amxfp4.rtl.quantizer_buffer import BlockBuffer
from amxfp4.rtl.quantizer_element import ElementQuantizer
from amxfp4.rtl.quantizer_key import KeyDecoder, KeyFormat
from amxfp4.rtl.quantizer_maxima import Maxima
from amxfp4.rtl.quantizer_scale import ScaleChooser
from amxfp4.rtl.register_bank import RegisterBank
from amxfp4.rtl.share import ModuleLibrary
from amxfp4.rtl.uart import UartReceiver, UartTransmitter

__all__ = ["COMPONENTS", "generate", "parts"]

Build = Callable[[Any], wiring.Component]

_DOT: dict[str, Build] = {
    "sequencer": BeatSequencer,
    "element_product": ElementProduct,
    "class_sums": ClassSums,
    "class_sequencer": ClassSequencer,
    "terms": Terms,
    "addend": Addend,
    "adder": Adder,
    "sum_normaliser": SumNormaliser,
    "result_word": ResultWord,
    "processing_element": ProcessingElement,
    "block_product": BlockProduct,
}


def _of_element(build: Build) -> Build:
    return lambda config: build(config.element)


def _block_buffer(config: Any) -> BlockBuffer:
    return BlockBuffer(data.ArrayLayout(KeyFormat(config).layout, config.lanes), config.beats)


COMPONENTS: dict[str, dict[str, Build]] = {
    "quantizer": {
        "key_decoder": lambda config: KeyDecoder(KeyFormat(config)),
        "maxima": lambda config: Maxima(KeyFormat(config)),
        "buffer": _block_buffer,
        "scale_chooser": lambda config: ScaleChooser(KeyFormat(config)),
        "element_quantizer": lambda config: ElementQuantizer(KeyFormat(config)),
    },
    "dequantizer": {
        "scale_decoder": ScaleDecoder,
        "element_dequantizer": ElementDequantizer,
    },
    "dot": _DOT,
    # An array repeats the parts of a dot product; only its sequencer serves several of them.
    "array": {
        **{name: _of_element(build) for name, build in _DOT.items()},
        "sequencer": lambda config: BeatSequencer(config.element, config.rows, config.cols),
    },
    # What stands around the array and the quantizers.
    "engine": {
        "word_input": WordInput,
        "record_input": lambda config: RecordInput(config.bytes_b, config.rows_ab[1].record_bits),
        "tile_loader": lambda config: TileLoader(
            config.cols, config.depth_b, config.rows_ab[1].record_bits, config.rows
        ),
        "tile_memory": lambda config: TileMemory(
            config.cols, config.depth_b, config.rows_ab[1].record_bits
        ),
        "step_sequencer": StepSequencer,
        "tile_drain": lambda config: TileDrain(config, drain_width(config)),
        "beat_packer": lambda config: BeatPacker(
            config.word.width // 8, drain_width(config), config.bytes_c
        ),
        "job_control": JobControl,
        "registers": lambda config: RegisterBank(
            REGISTERS, constants(config), address_bits=ADDRESS_BITS
        ),
    },
    # What stands between the engine and two wires.
    "engine_uart": {
        "uart_receiver": lambda config: UartReceiver(config.divisor),
        "uart_transmitter": lambda config: UartTransmitter(config.divisor),
        "crc": lambda config: Crc32(),
        "frame_receiver": lambda config: FrameReceiver(config.payload),
        "frame_sender": lambda config: FrameSender(config.payload),
        "bridge": Bridge,
        "lamps": lambda config: Lamps(config.clock, LAMPS),
    },
}
"""How to build each component, by unit and by the component's name, in data path order."""

IDEAS: dict[str, Mapping[str, Build]] = {"dot": dot_ideas.IDEAS, "quantizer": quantizer_ideas.IDEAS}
"""Parts that were tried and lost, by unit and name."""


def parts(unit: str) -> dict[str, Build]:
    """Components of a unit, and those that only stand for an idea, ``idea_...``.

    An idea may be for some configurations only, and says so.
    """
    ideas = IDEAS.get(unit, {})
    return COMPONENTS[unit] | {f"idea_{name}": build for name, build in ideas.items()}


def generate(config: UnitConfig, component: str) -> str:
    """Verilog of one component of a unit.

    The top module is called `component`; the first line is a comment with the unit and the digest
    of the configuration. Equal configurations and tool versions give equal bytes.

    Raises
    ------
    TypeError
        `config` is not the configuration of a unit, or `component` not a string.
    ValueError
        The unit has no such component.
    """
    if not isinstance(config, UnitConfig) or config.unit not in COMPONENTS:
        raise TypeError(f"config must be the configuration of a unit, not {config!r}")
    build = choose("component", component, parts(config.unit))
    library = ModuleLibrary()
    library.convert(build(config), component)
    body = to_verilog(library.modules.values())
    settings = ", ".join(f"{k}={v}" for k, v in config.to_dict().items() if k != "unit")
    return f"// amxfp4 {config.unit}/{component} {config.digest}\n// {settings}\n{body}"
