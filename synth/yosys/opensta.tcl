# The longest path of timing.v in picoseconds, clock to output and setup included; wires are ideal.
# Run it where timing.v is: sta -exit script.tcl

foreach file {@liberty_tcl@} { read_liberty $file }
read_verilog timing.v
link_design @top@
set_cmd_units -time ps

# Ports are registers right outside. A circuit without a clock is timed from port to port.
set inputs {}
foreach port [all_inputs] {
    if {[get_property $port full_name] ne "clk"} { lappend inputs $port }
}
if {[llength $inputs] < [llength [all_inputs]]} {
    create_clock -name clk -period @period@ [get_ports clk]
} else {
    create_clock -name clk -period @period@
}
set_input_delay 0 -clock clk $inputs
set_output_delay 0 -clock clk [all_outputs]

report_worst_slack
report_checks -path_delay max -digits 2
