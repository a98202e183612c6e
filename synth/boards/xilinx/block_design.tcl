# A block design for Zynq-7000: the engine, and two AXI4-Stream FIFOs through which the processor
# feeds it. In Vivado, with a project for your board open:
#
#   set verilog build/verilog        ;# where `amxfp4 verilog engine --bytes-a 4 --bytes-b 4
#   source synth/boards/xilinx/block_design.tcl      #  --bytes-c 4 --out build/verilog` wrote
#
# The FIFOs behind AXI4-Lite have streams of 4 bytes, hence the options of the engine.

add_files [list $verilog/engine.v $verilog/engine_axi.v]
create_bd_design amxfp4

# The processor, with one general-purpose port and one interrupt.
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" apply_board_preset 1} $ps
set_property -dict {
    CONFIG.PCW_USE_M_AXI_GP0 1
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1
    CONFIG.PCW_IRQ_F2P_INTR 1
} $ps

# The engine, its buses found by the attributes of its wrapper.
set engine [create_bd_cell -type module -reference engine_axi engine]

# A and C share a FIFO core, one direction each; B has one to itself. What is sent is stored and then
# forwarded: the host program cuts products so that packets fit. What comes back is read as it comes.
foreach {name receives} {fifo_ac 1 fifo_b 0} {
    set fifo [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_fifo_mm_s $name]
    set_property -dict [list \
        CONFIG.C_HAS_AXIS_TKEEP true \
        CONFIG.C_USE_TX_CTRL 0 \
        CONFIG.C_USE_TX_CUT_THROUGH 0 \
        CONFIG.C_TX_FIFO_DEPTH 4096 \
        CONFIG.C_USE_RX_DATA $receives \
        CONFIG.C_USE_RX_CUT_THROUGH $receives \
        CONFIG.C_RX_FIFO_DEPTH 4096 \
    ] $fifo
}
connect_bd_intf_net [get_bd_intf_pins fifo_ac/AXI_STR_TXD] [get_bd_intf_pins engine/s_axis_a]
connect_bd_intf_net [get_bd_intf_pins fifo_b/AXI_STR_TXD] [get_bd_intf_pins engine/s_axis_b]
connect_bd_intf_net [get_bd_intf_pins engine/m_axis_c] [get_bd_intf_pins fifo_ac/AXI_STR_RXD]

# The processor's bus to all three, clocks and resets, by the tool's own automation.
foreach port {engine/s_axi fifo_ac/S_AXI fifo_b/S_AXI} {
    apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
        -config {Master "/ps/M_AXI_GP0" Clk_master "Auto" Clk_slave "Auto"} \
        [get_bd_intf_pins $port]
}
connect_bd_net [get_bd_pins engine/irq] [get_bd_pins ps/IRQ_F2P]

# Addresses the host program expects nothing of: give it those that are shown here.
assign_bd_address
foreach segment [get_bd_addr_segs -of_objects [get_bd_addr_spaces ps/Data]] {
    puts "[get_property NAME $segment] at [format 0x%08X [get_property OFFSET $segment]]"
}
validate_bd_design
save_bd_design
