"""Text on chain may be any bytes; decoding it never stops a follower."""

from eth_abi.abi import encode

from registry.chain.abi import decode_values


def test_text_that_is_no_utf8_is_shown_with_replacement_characters() -> None:
    raw = encode(["bytes", "uint256"], [b"bad\xff\xfe", 5])
    assert decode_values(["string", "uint256"], raw) == ("bad\ufffd\ufffd", 5)


def test_honest_text_comes_out_as_it_went_in() -> None:
    raw = encode(["(string,bool)[]"], [[("Zürich ☃", True)]])
    assert decode_values(["(string,bool)[]"], raw) == ((("Zürich ☃", True),),)
