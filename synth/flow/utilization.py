"""What the cells of an FPGA family count as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amxfp4.synth.flow.measures import Figures, cells, count, depth

__all__ = ["ECP5", "GOWIN", "ICE40", "XILINX", "Family"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """An FPGA family: Yosys' flow, and regular expressions of its cells by what they are."""

    flow: str
    """Yosys' command."""
    levels: str
    """Cells that count as levels of logic, as Yosys selects types."""
    lut: str
    carry: str
    ff: str
    dsp: str
    ram: str
    free: str
    """Cells that come with others and cost nothing: wide multiplexers, constants, clock buffers."""
    in_luts: Mapping[str, int] = field(default_factory=dict)
    """LUTs taken by a cell that is none, by its type."""
    dsp_options: tuple[str, str] = ("-nodsp", "")
    """Options of the command without DSP blocks and with them."""

    def read(self, folder: Path) -> Figures:
        """Figures of a netlist.

        Raises
        ------
        ValueError
            There is a cell that is none of these.
        """
        found = cells(folder)
        columns = {"lut": self.lut, "carry": self.carry, "ff": self.ff, "dsp_blocks": self.dsp}
        known = "|".join([*columns.values(), self.ram, self.free, *self.in_luts])
        unknown = {name for name in found if not count({name: 1}, known)}
        if unknown:
            raise ValueError(f"cells must be of known types, not {', '.join(sorted(unknown))}")
        figures = {column: count(found, pattern) for column, pattern in columns.items()}
        elsewhere = sum(n * count(found, pattern) for pattern, n in self.in_luts.items())
        return {
            **figures,
            "ram": count(found, self.ram),
            "lut_equivalent": figures["lut"] + elsewhere,
            "depth": depth(folder),
        }


XILINX = Family(
    flow="synth_xilinx -family xcup -flatten -noiopad",
    levels="LUT? CARRY4 MUXF? INV DSP48E2",
    lut="LUT[1-6]",
    carry="CARRY[48]",
    ff="FD[RSCP]E(_1)?",
    dsp=r"DSP48E\d",
    ram=r"RAMB?\d+\w*",
    free=r"MUXF[789]|BUFG|GND|VCC",
    # The inverters that are left drive carries, which only a LUT can invert for.
    in_luts={
        "INV": 1, "SRL16E|SRLC16E|SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
        "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8,
    },
)  # fmt: skip

ECP5 = Family(
    flow="synth_lattice -family ecp5",
    levels="LUT4 CCU2C PFUMX L6MUX21 MULT18X18D ALU54B",
    lut="LUT4",
    carry="CCU2C",
    ff="TRELLIS_FF",
    dsp="MULT18X18D|ALU54B",
    ram="TRELLIS_DPR16X4|DP16KD|PDPW16KD",
    free="PFUMX|L6MUX21",
    in_luts={"CCU2C": 2, "TRELLIS_DPR16X4": 4},
)

ICE40 = Family(
    flow="synth_ice40 -device u",
    dsp_options=("", "-dsp"),
    levels="SB_LUT4 SB_CARRY SB_MAC16",
    lut="SB_LUT4",
    carry="SB_CARRY",
    ff="SB_DFF[A-Z]*",
    dsp="SB_MAC16",
    ram=r"SB_RAM\w+|SB_SPRAM\w+",
    free="SB_GB",
)

GOWIN = Family(
    flow="synth_gowin -family gw2a -noiopads",
    levels="LUT? ALU MUX2_LUT? MULT* PADD* ALU54D",
    lut="LUT[1-4]",
    carry="ALU",
    ff="DFF[A-Z]*",
    dsp=r"MULT\w+|PADD\d+|ALU54D",
    ram=r"RAM16SDP\d|S?DP(X9)?B|SP(X9)?",
    free=r"MUX2_LUT\d|GND|VCC",
    # A carry takes the LUT it stands in.
    in_luts={"ALU": 1, r"RAM16SDP\d": 4},
)
