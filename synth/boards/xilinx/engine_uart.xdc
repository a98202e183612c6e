# Constraints of `engine_uart`, but for `rst`, in the top of an Artix-7, Kintex-7 or Spartan-7 design: a template.
# Replace what stands in <...> by what your board's schematic says; the manifest (engine_uart.json)
# has the frequency, `clock`, that the unit was generated for.

# The clock. <period> is 1e9 / clock in nanoseconds: 10.000 for 100 MHz.
set_property -dict { PACKAGE_PIN <clock_pin> IOSTANDARD LVCMOS33 } [get_ports clk]
create_clock -name clk -period <period> [get_ports clk]

# `rst` has no pin: tie it to 0 in a wrapper that is the top and has all other ports by their names.
# Registers have initial values, and the host program can reset the engine. `rst` is synchronous: a
# push button is not, and without a synchronizer of its own some registers would leave the reset a
# cycle before others, in states that they never reach otherwise.

# The serial line: rx is what the USB chip sends, tx what it receives.
set_property -dict { PACKAGE_PIN <from_usb_pin> IOSTANDARD LVCMOS33 } [get_ports rx]
set_property -dict { PACKAGE_PIN <to_usb_pin> IOSTANDARD LVCMOS33 } [get_ports tx]

# Lamps, 1 is on.
set_property -dict { PACKAGE_PIN <led_0_pin> IOSTANDARD LVCMOS33 } [get_ports led_alive]
set_property -dict { PACKAGE_PIN <led_1_pin> IOSTANDARD LVCMOS33 } [get_ports led_link]
set_property -dict { PACKAGE_PIN <led_2_pin> IOSTANDARD LVCMOS33 } [get_ports led_busy]
set_property -dict { PACKAGE_PIN <led_3_pin> IOSTANDARD LVCMOS33 } [get_ports led_error]

# None of these has a clock of its own: rx passes a synchronizer, LEDs are looked at.
set_false_path -from [get_ports rx]
set_false_path -to [get_ports {tx led_alive led_link led_busy led_error}]
