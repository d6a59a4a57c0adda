"""Theorem about the signer: the key goes nowhere but into the cipher."""

from amaranth.hdl import Assert, Const, Cover, Module, Value
from amaranth.lib.data import View
from formal.theorem import Subject, past, theorem

from sealchip.interface import IDENTITY, RECORD
from sealchip.signer import Signer


def wants(row: View) -> Value:
    """Whether a row of the table says that the byte is one of the identity."""
    return Value.cast(row.source) == 0


@theorem(k=1, reach=20, parameters="any entry, key, identity and uptime")
def the_record_asks_for_no_key(m: Module) -> None:
    """While the record wants a byte of the identity, its port is asked for one of the seal's address; only
    while it wants none is the port asked for the key, which nothing but the cipher takes then.
    """
    signer = Signer()
    dut = Subject(m, signer)
    source = dut.part("source")
    seal, key = IDENTITY.slice("seal"), IDENTITY.slice("key")
    in_seal = (signer.secret_address >= seal.start) & (signer.secret_address < seal.stop)
    in_key = (signer.secret_address >= key.start) & (signer.secret_address < key.stop)
    # The table's read port shows nothing before its first cycle.
    begun = past(m, Const(1))
    m.d.comb += [
        Assert(~begun | ~source.wants_identity | in_seal),
        Assert(~begun | source.wants_identity | in_key),
        Cover(begun & source.wants_identity),
        Cover(begun & in_key),
    ]
    # Invariants: the table's port shows the row asked for, and what is the identity's there is the seal's.
    m.d.comb += Assert(source.index < RECORD.size)
    row = dut.row(past(m, source.index), "source", "table")
    m.d.comb += Assert(~begun | (wants(row) == source.wants_identity))
    m.d.comb += Assert(~begun | (row.offset == source.identity_address))
    for n in range(RECORD.size):
        row = dut.row(Const(n, 6), "source", "table")
        m.d.comb += Assert(~wants(row) | ((row.offset >= seal.start) & (row.offset < seal.stop)))
