"""The parts of every unit's datapath, each as Verilog of its own.

Who measures a part, or works on it, wants it alone: its area, its depth, its equivalence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.lib import data, wiring

from amxfp4.gen.netlist import to_verilog
from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.params.registers import ADDRESS_BITS, REGISTERS, constants
from amxfp4.rtl.bus.register_bank import RegisterBank
from amxfp4.rtl.dequantizer import ElementDequantizer, ScaleDecoder
from amxfp4.rtl.dot.accumulate import Addend, Adder, ResultWord, SumNormaliser
from amxfp4.rtl.dot.block_product import BlockProduct
from amxfp4.rtl.dot.dot import ProcessingElement
from amxfp4.rtl.dot.products import element_product
from amxfp4.rtl.dot.sequencer import BeatSequencer
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.dot.terms import ClassSequencer, Terms
from amxfp4.rtl.engine.drain import BeatPacker, TileDrain, drain_width
from amxfp4.rtl.engine.inputs import RecordInput, WordInput
from amxfp4.rtl.engine.job import JobControl
from amxfp4.rtl.engine.sequencer import StepSequencer
from amxfp4.rtl.engine.tiles import TileLoader, TileMemory
from amxfp4.rtl.lib.share import ModuleLibrary
from amxfp4.rtl.quantizer.buffer import BlockBuffer
from amxfp4.rtl.quantizer.element import ElementQuantizer
from amxfp4.rtl.quantizer.key import KeyDecoder, KeyFormat
from amxfp4.rtl.quantizer.maxima import Maxima
from amxfp4.rtl.quantizer.scale import ScaleChooser
from amxfp4.rtl.serial.bridge import Bridge
from amxfp4.rtl.serial.engine_uart import EVENTS, Leds
from amxfp4.rtl.serial.frames import Crc32, FrameReceiver, FrameSender
from amxfp4.rtl.serial.uart import UartReceiver, UartTransmitter
from amxfp4.rtl.weights.element import WeightElement
from amxfp4.rtl.weights.scale import WeightScale
from amxfp4.rtl.weights.table import WeightTable

__all__ = ["COMPONENTS", "Build", "generate"]

Build = Callable[[Any], wiring.Component]

_DOT: dict[str, Build] = {
    "sequencer": BeatSequencer,
    "element_product": element_product,
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
    "weight_dequantizer": {
        "weight_scale": WeightScale,
        "weight_table": WeightTable,
        "weight_element": WeightElement,
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
        "leds": lambda config: Leds(config.clock, EVENTS),
    },
}
"""How to build each component, by unit and by the component's name, in data path order."""


def generate(config: UnitConfig, component: str, parts: Mapping[str, Build] | None = None) -> str:
    """Verilog of one component of a unit.

    The top module is called `component`; the first line is a comment with the unit and the digest
    of the configuration. Equal configurations and tool versions give equal bytes.

    Parameters
    ----------
    config
        The unit's configuration.
    component
        A key of `parts`.
    parts
        How to build each component; by default the unit's own.

    Raises
    ------
    TypeError
        `config` is not the configuration of a unit, or `component` not a string.
    ValueError
        The unit has no such component.
    """
    if not isinstance(config, UnitConfig) or config.unit not in COMPONENTS:
        raise TypeError(f"config must be the configuration of a unit, not {config!r}")
    known = dict(COMPONENTS[config.unit] if parts is None else parts)
    build = choose("component", component, known)
    library = ModuleLibrary()
    library.convert(build(config), component)
    body = to_verilog(library.modules.values())
    settings = ", ".join(f"{k}={v}" for k, v in config.to_dict().items() if k != "unit")
    return f"// amxfp4 {config.unit}/{component} {config.digest}\n// {settings}\n{body}"
