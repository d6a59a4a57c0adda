"""Q/CSG 1209022 uplink between terminal and master station: sans-IO codec and state machines.

It is written from secondary sources (public implementations and real frames), not from the standard's text;
`docs/protocol.md` lists them with their grades.
"""
