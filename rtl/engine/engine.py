# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The matrix engine: registers, streams, and the data path between them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import ADDRESS_BITS, REGISTERS, constants
from amxfp4.rtl.array import MacArray
from amxfp4.rtl.bus.axi_lite import axi_lite
from amxfp4.rtl.bus.axi_stream import axi_stream, axis_layout, receive, transmit
from amxfp4.rtl.bus.register_bank import RegisterBank
from amxfp4.rtl.engine.counters import PerformanceCounters
from amxfp4.rtl.engine.datapath import EngineDatapath
from amxfp4.rtl.engine.job import JobControl
from amxfp4.rtl.lib.pipes import SkidBuffer
from amxfp4.rtl.lib.share import Shared

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Matrix products behind AXI4-Lite and AXI4-Stream; docs/units/engine.md is its contract.

    Parameters
    ----------
    config : EngineConfig
    leds : bool
        With the two members that only a unit around the engine wants.

    Members
    -------
    s_axi : In(axi_lite(ADDRESS_BITS))
    s_axis_a, s_axis_b : In(axi_stream of their bytes)
    m_axis_c : Out(axi_stream of its bytes)
    irq : Out(1)
    busy, failed : Out(1), those of the register `status`; with `leds`

    Latency: `latency` cycles from the last beat of B of a job of one block to C's first.
    """

    # Tools find buses by names such as s_axis_a_tdata.
    port_separator = "_"

    def __init__(self, config: EngineConfig, *, leds: bool = False) -> None:
        self.config, self._leds = config, leds
        super().__init__(
            {
                "s_axi": In(axi_lite(ADDRESS_BITS)),
                "s_axis_a": In(axi_stream(config.bytes_a)),
                "s_axis_b": In(axi_stream(config.bytes_b)),
                "m_axis_c": Out(axi_stream(config.bytes_c)),
                "irq": Out(1),
                **({"busy": Out(1), "failed": Out(1)} if leds else {}),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: input register, gearbox, memory, read, array, drain, packer, output register."""
        return 7 + MacArray(self.config.array).latency

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.registers = bank = RegisterBank(
            REGISTERS, constants(config), address_bits=ADDRESS_BITS
        )
        wiring.connect(m, wiring.flipped(self.s_axi), bank.bus)

        # Everything but the registers begins anew with a soft reset.
        clear = bank.control_soft_reset
        job = JobControl(config)
        m.submodules.job_control = Shared(job, "job_control", config, reset=clear)
        path = EngineDatapath(config)
        m.submodules.path = Shared(path, "datapath", config, reset=~(job.begins | job.run) | clear)
        m.d.comb += [
            job.start.eq(bank.control_start & ~bank.control_abort & ~clear),
            job.abort.eq(bank.control_abort & ~clear),
            *(getattr(job, name).eq(getattr(bank, name)) for name in ("m", "n", "k")),
            job.keep_b.eq(bank.job_keep_b),
            job.reuse_b.eq(bank.job_reuse_b),
            job.problem.eq(path.problems_a.as_value().any() | path.problems_b.as_value().any()),
            path.begins.eq(job.begins),
        ]
        wiring.connect(m, job.job, path.job)

        for name in ("a", "b"):
            self._input(m, name, path, job.failed, clear, getattr(bank, f"status_{name}_open"))
        self._output(m, path, job, clear, bank.status_c_waiting)
        self._status(m, bank, job, path)
        self._counters(m, bank, job, path)
        return m

    def _input(self, m: Module, name: str, path, failed, clear, is_open) -> None:
        """Bring a stream in; beats that arrive after a job has failed are dropped."""
        axis = getattr(self, f"s_axis_{name}")
        width = getattr(self.config, f"bytes_{name}")
        skid = SkidBuffer(axis_layout(width))
        m.submodules[f"skid_{name}"] = Shared(skid, f"skid_buffer_{width}", width, reset=clear)
        target = getattr(path, name)
        receive(m, axis, skid.i)
        m.d.comb += [
            target.payload.eq(skid.o.payload),
            target.valid.eq(skid.o.valid),
            skid.o.ready.eq(Mux(failed, 1, target.ready)),
        ]
        last_open = Signal(name=f"{name}_open")
        m.d.comb += is_open.eq(last_open)
        with m.If(axis.tvalid & axis.tready):
            m.d.sync += last_open.eq(~axis.tlast)
        with m.If(clear):
            m.d.sync += last_open.eq(0)

    def _output(self, m: Module, path, job: JobControl, clear, is_waiting) -> None:
        """Let C out; the packet of a job that failed ends with an element of zeros."""
        config = self.config
        output = SkidBuffer(axis_layout(config.bytes_c))
        m.submodules.skid_c = Shared(
            output, f"skid_buffer_{config.bytes_c}", config.bytes_c, reset=clear
        )
        element = 1 if config.row_c else config.word.width // 8
        has_end = Signal()  # of this job's packet
        beat = output.i.payload
        transmit(m, output.o, self.m_axis_c)
        m.d.comb += [
            beat.eq(path.c.payload),
            output.i.valid.eq(path.c.valid & job.run),
            path.c.ready.eq(output.i.ready),
            is_waiting.eq(output.o.valid),
            job.ends.eq(output.o.valid & output.o.ready & output.o.payload.last),
        ]
        with m.If(job.ending):
            m.d.comb += [
                beat.data.as_value().eq(0),
                beat.keep.eq((1 << element) - 1),
                beat.last.eq(1),
                output.i.valid.eq(~has_end),
            ]
        with m.If(job.accepted):
            m.d.sync += has_end.eq(0)
        with m.Elif(output.i.valid & output.i.ready & beat.last):
            m.d.sync += has_end.eq(1)

    def _status(self, m: Module, bank: RegisterBank, job: JobControl, path) -> None:
        for name in ("idle", "busy", "done"):
            m.d.comb += getattr(bank, f"status_{name}").eq(getattr(job, name))
        errors = {
            **{n: getattr(job, n) for n in ("bad_dimension", "no_kept_b", "overrun", "aborted")},
            # The first problem ends the job; what follows from it is no news.
            **{
                f"{stream}_{n}": getattr(getattr(path, f"problems_{stream}"), n) & job.run
                for stream in ("a", "b")
                for n in ("early", "late", "keep")
            },
        }
        flags = {"acc_inexact": path.inexact, "acc_overflow": path.overflow}
        for name, signal in (errors | flags).items():
            m.d.comb += getattr(bank, f"error_{name}").eq(signal)
        m.d.comb += [
            bank.status_failed.eq(job.failed),
            *([self.busy.eq(job.busy), self.failed.eq(job.failed)] if self._leds else []),
            bank.interrupt_status_done.eq(job.finished),
            bank.interrupt_status_error.eq(Cat(errors.values()).any()),
            bank.interrupt_status_flags.eq(Cat(flags.values()).any()),
        ]
        raised = [
            getattr(bank, f"interrupt_status_{n}_held") & getattr(bank, f"interrupt_enable_{n}")
            for n in ("done", "error", "flags")
        ]
        m.d.comb += self.irq.eq(Cat(raised).any())

    def _counters(self, m: Module, bank: RegisterBank, job: JobControl, path) -> None:
        counts = {
            "cycles": (1, job.busy),
            "busy": (self.config.beats, path.step),
            "stall_a": (1, path.stall_a),
            "stall_b": (1, path.stall_b),
            "stall_c": (1, path.stall_c),
        }
        m.submodules.counters = counters = PerformanceCounters(
            {name: step for name, (step, _) in counts.items()}
        )
        offsets = {register.name: register.offset for register in REGISTERS}
        m.d.comb += counters.clear.eq(job.accepted)
        for name, (_, counted) in counts.items():
            reads = bank.reads & (bank.reading == offsets[f"{name}_low"])
            m.d.comb += [
                getattr(counters, f"{name}_counts").eq(counted),
                getattr(counters, f"{name}_reads").eq(reads),
                getattr(bank, f"{name}_low").eq(getattr(counters, f"{name}_low")),
                getattr(bank, f"{name}_high").eq(counters.high),
            ]
