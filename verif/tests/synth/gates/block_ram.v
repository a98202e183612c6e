// Random writes and reads of a block RAM, at every pair of widths that netlists use, against an array
// of bits. Prints how many reads were compared.
module pair #(
    parameter A = 9,  // width of the port that writes
    parameter B = 9,  // width of the port that reads
    parameter WORDS = 16
);
    reg clk = 0;
    reg [35:0] data;
    reg [13:0] to, from;
    wire [17:0] read_a, read_b;
    wire [35:0] read = B == 36 ? {read_b, read_a} : {18'd0, read_b};
    reg reads, write;
    DP16KD #(
        .DATA_WIDTH_A(A), .DATA_WIDTH_B(B), .WRITEMODE_A("READBEFOREWRITE"),
        .RESETMODE("ASYNC"), .ASYNC_RESET_RELEASE("ASYNC"), .GSR("DISABLED"),
        .INITVAL_00(320'h15A5A2FFFF)
    ) ram (
        .DIA0(data[0]), .DIA1(data[1]), .DIA2(data[2]), .DIA3(data[3]), .DIA4(data[4]),
        .DIA5(data[5]), .DIA6(data[6]), .DIA7(data[7]), .DIA8(data[8]), .DIA9(data[9]),
        .DIA10(data[10]), .DIA11(data[11]), .DIA12(data[12]), .DIA13(data[13]), .DIA14(data[14]),
        .DIA15(data[15]), .DIA16(data[16]), .DIA17(data[17]), .DIB0(data[18]), .DIB1(data[19]),
        .DIB2(data[20]), .DIB3(data[21]), .DIB4(data[22]), .DIB5(data[23]), .DIB6(data[24]),
        .DIB7(data[25]), .DIB8(data[26]), .DIB9(data[27]), .DIB10(data[28]), .DIB11(data[29]),
        .DIB12(data[30]), .DIB13(data[31]), .DIB14(data[32]), .DIB15(data[33]), .DIB16(data[34]),
        .DIB17(data[35]), .ADA0(to[0]), .ADA1(to[1]), .ADA2(to[2]), .ADA3(to[3]), .ADA4(to[4]),
        .ADA5(to[5]), .ADA6(to[6]), .ADA7(to[7]), .ADA8(to[8]), .ADA9(to[9]), .ADA10(to[10]),
        .ADA11(to[11]), .ADA12(to[12]), .ADA13(to[13]), .ADB0(from[0]), .ADB1(from[1]),
        .ADB2(from[2]), .ADB3(from[3]), .ADB4(from[4]), .ADB5(from[5]), .ADB6(from[6]),
        .ADB7(from[7]), .ADB8(from[8]), .ADB9(from[9]), .ADB10(from[10]), .ADB11(from[11]),
        .ADB12(from[12]), .ADB13(from[13]), .DOA0(read_a[0]), .DOA1(read_a[1]), .DOA2(read_a[2]),
        .DOA3(read_a[3]), .DOA4(read_a[4]), .DOA5(read_a[5]), .DOA6(read_a[6]), .DOA7(read_a[7]),
        .DOA8(read_a[8]), .DOA9(read_a[9]), .DOA10(read_a[10]), .DOA11(read_a[11]),
        .DOA12(read_a[12]), .DOA13(read_a[13]), .DOA14(read_a[14]), .DOA15(read_a[15]),
        .DOA16(read_a[16]), .DOA17(read_a[17]), .DOB0(read_b[0]), .DOB1(read_b[1]),
        .DOB2(read_b[2]), .DOB3(read_b[3]), .DOB4(read_b[4]), .DOB5(read_b[5]), .DOB6(read_b[6]),
        .DOB7(read_b[7]), .DOB8(read_b[8]), .DOB9(read_b[9]), .DOB10(read_b[10]),
        .DOB11(read_b[11]), .DOB12(read_b[12]), .DOB13(read_b[13]), .DOB14(read_b[14]),
        .DOB15(read_b[15]), .DOB16(read_b[16]), .DOB17(read_b[17]), .CLKA(clk), .CLKB(clk),
        .CEA(1'b1), .CEB(reads), .WEA(write), .WEB(1'b0), .OCEA(1'b1), .OCEB(1'b1), .RSTA(1'b0),
        .RSTB(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0)
    );
    // Bit n of byte of nine number b is bits[9 b + n].
    reg [18431:0] bits = {18396'd0, 18'h15A5A, 18'h2FFFF};
    function integer place(input [13:0] address, input integer width);
        place = width >= 9 ? (address >> (width == 36 ? 5 : width == 18 ? 4 : 3)) * width :
            (address >> 3) * 9 + (address & (8 - width));
    endfunction
    integer n, k, compared = 0, poisoned = 0;
    reg [35:0] expected;
    reg collides;
    initial begin
        for (n = 0; n < 4000; n = n + 1) begin
            data = {$random, $random};
            to = $random;
            from = n % 3 ? $random : to;
            // Few words, so that they meet.
            to = to % (WORDS * 8);
            from = from % (WORDS * 8);
            // Enables of bytes stand in the lowest bits.
            if (A == 36) to = (to & ~14'h1F) | 14'hF;
            if (A == 18) to = (to & ~14'h0F) | 14'h3;
            write = $random;
            reads = $random;
            expected = (bits >> place(from, B)) & ((64'd1 << B) - 1);
            collides = write & (to >> 5 == from >> 5);
            #1 clk = 1;
            #1 clk = 0;
            if (write)
                for (k = 0; k < A; k = k + 1) bits[place(to, A) + k] = data[k];
            if (reads && !collides) begin
                compared = compared + 1;
                if ((read & ((64'd1 << B) - 1)) !== expected) begin
                    $display("%0d/%0d wrong at %h: %h for %h", A, B, from, read, expected);
                    $fatal(1);
                end
            end
            if (reads && collides && A == B && (to >> 3) == (from >> 3) && A != 4 && A != 1) begin
                poisoned = poisoned + 1;
                if ((read & ((64'd1 << B) - 1)) === expected) begin
                    $display("%0d/%0d read what is being written", A, B);
                    $fatal(1);
                end
            end
        end
        $display("%0d/%0d compared %0d poisoned %0d", A, B, compared, poisoned);
    end
endmodule

module top;
    pair #(.A(36), .B(36), .WORDS(64)) p0 ();
    pair #(.A(36), .B(9), .WORDS(64)) p1 ();
    pair #(.A(18), .B(18)) p2 ();
    pair #(.A(9), .B(9)) p3 ();
    pair #(.A(4), .B(4)) p4 ();
    pair #(.A(1), .B(1)) p5 ();
    pair #(.A(9), .B(36), .WORDS(64)) p6 ();
    initial #100000 $finish;
endmodule
