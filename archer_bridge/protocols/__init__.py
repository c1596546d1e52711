"""Wire protocols as pure state: text in, events out; values in, text out. No I/O, no clock."""
