// What the block RAM of ECP5 does, as its vendor documents it: Yosys' simulation library, from which
// the models of all other cells are, has none.

// One port's address in a block RAM: which bits of the memory's bytes of 9 it means. Ports of 36
// and 18 bits have an enable for each byte in place of the address' lowest bits; ports of 4, 2 and
// 1 bits leave the ninth bit alone.
module amxfp4_ecp5_port #(
    parameter WIDTH = 18
) (
    input [13:0] address,
    input [35:0] data,
    output [10:0] first,
    output [3:0] enable,
    output [35:0] mask, moved
);
    wire [2:0] bit_place = WIDTH == 4 ? {address[2], 2'b00} : WIDTH == 2 ? {address[2:1], 1'b0} :
        WIDTH == 1 ? address[2:0] : 3'd0;
    localparam [35:0] OWN = WIDTH == 36 ? 36'hfffffffff : WIDTH == 18 ? 36'h3ffff :
        WIDTH == 9 ? 36'h1ff : WIDTH == 4 ? 36'hf : WIDTH == 2 ? 36'h3 : 36'h1;
    assign first = WIDTH == 36 ? {address[13:5], 2'b00} : WIDTH == 18 ? {address[13:4], 1'b0} :
        address[13:3];
    assign enable = WIDTH == 36 ? address[3:0] : WIDTH == 18 ? {2'b00, address[1:0]} : 4'b0001;
    wire [35:0] enabled = {{9{enable[3]}}, {9{enable[2]}}, {9{enable[1]}}, {9{enable[0]}}};
    assign mask = (OWN & enabled) << bit_place;
    assign moved = (data & OWN) << bit_place;
endmodule

// A block RAM of 2048 bytes of 9 bits with two ports, registers at its inputs. Of the many modes
// those that this project's designs need: no second register at the outputs, no cascade. What is
// read from a byte that the other port writes in the same cycle is nothing to rely on, and is made
// wrong on purpose.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter GSR = "ENABLED",
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
        INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0,
        INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0,
        INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0,
        INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
        INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0,
        INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0,
        INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0,
        INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
        INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0,
        INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
        INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0,
        INITVAL_3B = 0, INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0
) (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
    localparam [20479:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };
    reg [8:0] bytes [0:2047];
    integer n;
    initial begin
        // Words of two bytes lie 20 bits apart.
        for (n = 0; n < 2048; n = n + 1) bytes[n] = INIT[20 * (n / 2) + 9 * (n % 2) +: 9];
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000"
            || CSDECODE_B != "0b000") $fatal(1, "DP16KD: this mode has no model");
    end

    // A port of 36 bits takes both halves of the pins.
    wire [35:0] data_a, data_b, mask_a, mask_b, moved_a, moved_b;
    wire [13:0] address_a, address_b;
    wire [10:0] first_a, first_b;
    wire [3:0] enable_a, enable_b;
    assign data_a[17:0] = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0
    };
    assign data_a[35:18] = data_b[17:0];
    assign data_b = {18'd0, 
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0
    };
    assign address_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    assign address_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    amxfp4_ecp5_port #(.WIDTH(DATA_WIDTH_A)) port_a (
        .address(address_a), .data(data_a), .first(first_a), .enable(enable_a), .mask(mask_a),
        .moved(moved_a)
    );
    amxfp4_ecp5_port #(.WIDTH(DATA_WIDTH_B)) port_b (
        .address(address_b), .data(data_b), .first(first_b), .enable(enable_b), .mask(mask_b),
        .moved(moved_b)
    );
    wire clock_a = CLKAMUX == "INV" ? ~CLKA : CLKA;
    wire clock_b = CLKBMUX == "INV" ? ~CLKB : CLKB;
    wire active_a = CEA & ~CSA0 & ~CSA1 & ~CSA2;
    wire active_b = CEB & ~CSB0 & ~CSB1 & ~CSB2;
    wire writes_a = active_a & WEA;
    wire writes_b = active_b & WEB;

    // Before the edge: what a port finds, with the bytes inverted that the other one writes.
    function [35:0] found(input [10:0] first, input poisons, input [10:0] other,
                          input [35:0] mask);
        integer i, j;
        begin
            for (i = 0; i < 4; i = i + 1) begin
                found[9 * i +: 9] = bytes[(first + i) % 2048];
                for (j = 0; j < 4; j = j + 1)
                    if (poisons && (first + i) % 2048 == (other + j) % 2048)
                        found[9 * i +: 9] = found[9 * i +: 9] ^ mask[9 * j +: 9];
            end
        end
    endfunction
    function [35:0] shifted(input [35:0] word, input [13:0] address, input integer width);
        shifted = width == 36 ? word : width == 18 ? word & 36'h3ffff : width == 9 ? word & 36'h1ff :
            width == 4 ? (word >> {address[2], 2'b00}) & 36'hf :
            width == 2 ? (word >> {address[2:1], 1'b0}) & 36'h3 : (word >> address[2:0]) & 36'h1;
    endfunction
    reg [35:0] out_a = 0, out_b = 0;
    integer k;
    always @(posedge clock_a) begin
        if (active_a && !(writes_a && WRITEMODE_A == "NORMAL")) begin
            out_a <= shifted(found(first_a, writes_b, first_b, mask_b), address_a, DATA_WIDTH_A);
            if (writes_a && WRITEMODE_A == "WRITETHROUGH")
                out_a <= shifted(moved_a, address_a, DATA_WIDTH_A);
        end
        if (RSTA) out_a <= 0;
    end
    always @(posedge clock_b) begin
        if (active_b && !(writes_b && WRITEMODE_B == "NORMAL")) begin
            out_b <= shifted(found(first_b, writes_a, first_a, mask_a), address_b, DATA_WIDTH_B);
            if (writes_b && WRITEMODE_B == "WRITETHROUGH")
                out_b <= shifted(moved_b, address_b, DATA_WIDTH_B);
        end
        if (RSTB) out_b <= 0;
    end
    // Both ports read what was there before either writes: one clock is all that is here.
    always @(posedge clock_a) begin
        for (k = 0; k < 4; k = k + 1) begin
            if (writes_a && mask_a[9 * k +: 9] != 0)
                bytes[(first_a + k) % 2048] <= (bytes[(first_a + k) % 2048] & ~mask_a[9 * k +: 9])
                    | (moved_a[9 * k +: 9] & mask_a[9 * k +: 9]);
            if (writes_b && mask_b[9 * k +: 9] != 0)
                bytes[(first_b + k) % 2048] <= (bytes[(first_b + k) % 2048] & ~mask_b[9 * k +: 9])
                    | (moved_b[9 * k +: 9] & mask_b[9 * k +: 9]);
        end
    end
    // Read 36 bits wide, port B has the pins of both.
    wire [17:0] pins_a = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
    wire [17:0] pins_b = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0
    } = pins_a;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
    } = pins_b;
endmodule
