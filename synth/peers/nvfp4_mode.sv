// Ties the unified top of nvfp4-dotprod-formal-dv to its NVFP4 mode, so that synthesis removes what
// serves INT8 and BF16 alone.
module nvfp4_mode (
    input  logic [dotprod_pkg::BF16_W-1:0] a [dotprod_pkg::N_LANES],
    input  logic [dotprod_pkg::BF16_W-1:0] b [dotprod_pkg::N_LANES],
    output logic [dotprod_pkg::FP32_W-1:0] result,
    output dotprod_pkg::dotprod_status_t   status
);
    dotprod_top top (.mode(dotprod_pkg::FMT_NVFP4), .a, .b, .result, .status, .sat());
endmodule
