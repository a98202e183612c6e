// What the ECP5 cells in a netlist do, as their vendor documents them: logic without delay, and
// flip-flops and small memories. Only what synthesis without DSP and RAM blocks uses. verif/synth proves
// each equal to the simulation library of Yosys.

// A function of four bits as a table: entry {D, C, B, A} of INIT.
module LUT4 #(
    parameter [15:0] INIT = 0
) (
    input A, B, C, D,
    output Z
);
    wire [15:0] selected = INIT >> {D, C, B, A};
    assign Z = selected[0];
endmodule

// Choose between two neighbouring LUT4: a function of five bits.
module PFUMX (
    input ALUT, BLUT, C0,
    output Z
);
    assign Z = C0 ? ALUT : BLUT;
endmodule

// Choose between two such functions: six bits.
module L6MUX21 (
    input D0, D1, SD,
    output Z
);
    assign Z = SD ? D1 : D0;
endmodule

// One bit of a carry chain. The LUT4 says whether the carry goes on; if it does not, what comes out
// is the function of A and B in the table's lowest four entries. INJECT cuts the chain off.
module amxfp4_ecp5_carry #(
    parameter [15:0] INIT = 0,
    parameter INJECT = "YES"
) (
    input A, B, C, D, CIN,
    output S, COUT
);
    wire [15:0] selected = INIT >> {D, C, B, A};
    wire [15:0] generated = INIT >> {2'b00, B, A};
    wire chained = INJECT != "YES";
    assign S = selected[0] ^ (chained & CIN);
    assign COUT = selected[0] ? CIN : chained & generated[0];
endmodule

// Two bits of a carry chain.
module CCU2C #(
    parameter [15:0] INIT0 = 0,
    parameter [15:0] INIT1 = 0,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire carry;
    amxfp4_ecp5_carry #(.INIT(INIT0), .INJECT(INJECT1_0)) first (
        .A(A0), .B(B0), .C(C0), .D(D0), .CIN(CIN), .S(S0), .COUT(carry)
    );
    amxfp4_ecp5_carry #(.INIT(INIT1), .INJECT(INJECT1_1)) second (
        .A(A1), .B(B1), .C(C1), .D(D1), .CIN(carry), .S(S1), .COUT(COUT)
    );
endmodule

// A flip-flop with enable and reset. Of the many modes those that this project's designs need:
// LSR resets or sets synchronously or asynchronously, M is not used.
module TRELLIS_FF #(
    parameter GSR = "ENABLED",
    parameter CEMUX = "1",
    parameter CLKMUX = "CLK",
    parameter LSRMUX = "LSR",
    parameter SRMODE = "LSR_OVER_CE",
    parameter REGSET = "RESET",
    parameter LSRMODE = "LSR"
) (
    input CLK, LSR, CE, DI, M,
    output reg Q
);
    wire enable = CEMUX == "1" ? 1'b1 : CEMUX == "0" ? 1'b0 : CEMUX == "INV" ? ~CE : CE;
    wire reset = LSRMUX == "INV" ? ~LSR : LSR;
    wire clock = CLKMUX == "INV" ? ~CLK : CLK;
    localparam VALUE = REGSET == "SET";
    initial Q = VALUE;
    generate
        if (SRMODE == "ASYNC") begin : asynchronous
            always @(posedge clock or posedge reset)
                if (reset) Q <= VALUE;
                else if (enable) Q <= DI;
        end else if (SRMODE == "LSR_OVER_CE") begin : reset_first
            always @(posedge clock)
                if (reset) Q <= VALUE;
                else if (enable) Q <= DI;
        end else begin : enable_first
            always @(posedge clock)
                if (enable) Q <= reset ? VALUE : DI;
        end
    endgenerate
endmodule

// A memory of 16 words in LUTs: written at the clock edge, read at once.
module TRELLIS_DPR16X4 #(
    parameter WCKMUX = "WCK",
    parameter WREMUX = "WRE",
    parameter [63:0] INITVAL = 0
) (
    input [3:0] DI, WAD, RAD,
    input WRE, WCK,
    output [3:0] DO
);
    reg [63:0] words = INITVAL;
    wire enable = WREMUX == "1" ? 1'b1 : WREMUX == "0" ? 1'b0 : WREMUX == "INV" ? ~WRE : WRE;
    wire clock = WCKMUX == "INV" ? ~WCK : WCK;
    assign DO = words[{RAD, 2'b00} +: 4];
    always @(posedge clock)
        if (enable) words[{WAD, 2'b00} +: 4] <= DI;
endmodule
