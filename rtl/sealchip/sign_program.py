"""The signer's memory and its program."""

from . import cmac, record_source, sm4
from .interface import IDENTITY
from .microcode import Block, Go, assemble

__all__ = ["KEY_BASE", "MEMORY", "PROGRAM", "RECORD_BASE", "SECRET_BASE", "STATE_BASE"]

# The lower half of the memory is constant, the upper one is written. Words of a block of 16 bytes must not
# cross a multiple of 16, what is addressed by the turn none of 128.
_CK, _FK, _CONSTANTS = 0x000, 0x080, 0x090
_ROUND_KEYS, STATE_BASE, KEY_BASE, _SUBKEY, _WORK, RECORD_BASE = 0x100, 0x180, 0x190, 0x1A0, 0x1B0, 0x1C0
_CARRY, _SHIFTED_CARRY = _WORK, _WORK + 1

#: What the memory has at first.
MEMORY = (sm4.CK + sm4.FK + record_source.CONSTANTS).ljust(512, b"\0")

#: What is done with the block in the state, and which way its words lie: they leave an encryption the other
#: way round. The phase stays until the next one, so between two records it says whether there is a key.
_NO_KEY, _ZEROS, _LAST, _FIRST = range(4)


#: Added to an address that is the identity's: so the key is in one block.
SECRET_BASE = IDENTITY.offsets["key"] % sm4.BLOCK_BYTES
_OF_KEY = IDENTITY.offsets["key"] - SECRET_BASE
_OF_SEAL = (IDENTITY.offsets["seal"] - SECRET_BASE) % IDENTITY.size

_SECOND_BLOCK = RECORD_BASE + sm4.BLOCK_BYTES
_MAC = RECORD_BASE + cmac.MESSAGE_BYTES


def _loop(name, statements, then, go=Go.IF_LAST_WORD):
    return Block(name, [*statements], [name, then], go, again=True)


_BLOCKS = [
    Block("idle", [], ["idle", "woken"], Go.IF_WOKEN, flags={"idle": 1}),
    # There is a key now, or none any more, or a record to make.
    Block("woken", [], ["no key", "key"], Go.IF_SIGNS),
    Block("no key", [], ["facts", None, "forget", None], Go.BY_PHASE),
    Block("forget", [], ["idle"], phase=_NO_KEY),
    Block("key", [], ["new key", None, "same key", None], Go.BY_PHASE),
    Block("same key", [], ["facts"]),
    # A new key: round keys and subkey.
    Block("new key", [], ["first words"], phase=_NO_KEY),
    _loop(
        "first words",
        [*sm4.first_words(KEY_BASE, _FK, _OF_KEY), *cmac.zeros(STATE_BASE, _CONSTANTS)],
        "expand",
    ),
    Block("expand", [], ["key round"], phase=_NO_KEY),
    _loop("key round", sm4.key_round(KEY_BASE, _CK, _WORK, _ROUND_KEYS), "encrypt zeros", Go.IF_LAST_TURN),
    Block("encrypt zeros", [], ["round"], phase=_ZEROS),
    Block("subkey", [], ["double"], phase=_LAST),
    _loop("double", cmac.doubled(STATE_BASE, _SUBKEY, _CARRY), "reduce"),
    Block("reduce", [*cmac.reduced(_SUBKEY, _CARRY, _SHIFTED_CARRY)], ["idle"]),
    # Encryption, and where to go behind it; after a reset on its way, back.
    _loop("round", sm4.round_(STATE_BASE, _ROUND_KEYS, _WORK), "encrypted", Go.IF_LAST_TURN),
    Block("encrypted", [], ["reset", "subkey", "tag", "last block"], Go.BY_PHASE),
    Block("reset", [], ["idle"]),
    # A record.
    Block(
        "facts",
        [*record_source.facts(RECORD_BASE, _CONSTANTS, _OF_SEAL)],
        ["old", "young"],
        Go.IF_THIS_BOOT,
    ),
    Block("old", [*record_source.unknown_age(RECORD_BASE, _CONSTANTS)], ["aged"]),
    Block("young", [*record_source.age(RECORD_BASE)], ["aged"]),
    Block("aged", [], ["told", "echo"], Go.IF_CHALLENGED),
    Block("echo", [*record_source.echo(RECORD_BASE, _CONSTANTS)], ["told"]),
    Block("told", [], ["unsigned", "signed"], Go.IF_SIGNS),
    Block("unsigned", [], ["idle"], flags={"made": 1}),
    # Its MAC.
    Block(
        "signed",
        [*record_source.signature(RECORD_BASE, _CONSTANTS)],
        ["first block"],
        phase=_FIRST,
        flags={"made": 1},
    ),
    _loop("first block", cmac.first(STATE_BASE, RECORD_BASE), "encrypt first"),
    Block("encrypt first", [], ["round"], phase=_FIRST),
    Block("last block", [], ["add"], phase=_LAST),
    _loop("add", cmac.last(STATE_BASE, _SECOND_BLOCK, _SUBKEY), "encrypt last"),
    Block("encrypt last", [], ["round"], phase=_LAST),
    Block("tag", [*cmac.tag(STATE_BASE, _MAC)], ["idle"]),
]

PROGRAM = assemble(_BLOCKS)
