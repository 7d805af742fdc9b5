"""Every error a user can meet, by whose fault it is.

    RegistryError
    ├── Rejected               the caller's fault; nothing was changed
    │   ├── Malformed 400      ├── InvalidManifest 422   ├── Unauthenticated 401
    │   ├── NotAuthorized 403  ├── Conflict 409          ├── Expired 410
    │   └── TooLarge 413       └── FeeTooLow 402         └── RateLimited 429
    ├── NotFound 404
    ├── VerificationFailed 422 bytes, proof or signature disagree; never retried, always logged
    ├── Unavailable 503        retry is safe
    │   └── StoreUnavailable   └── ChainUnavailable      └── SealTimeout (carries the version id)
    └── ChainReorganised 503   deeper than the confirmations: the gateway stops and says so

The message is a sentence with the values in it; `hint` is the next command to type.
"""

from typing import ClassVar


class RegistryError(Exception):
    """The root of the tree: an error that says what happened, with which values, and what to do next."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    usual_hint: ClassVar[str] = "run `twinledger doctor`"
    code: ClassVar[str] = "registry_error"

    def __init__(self, message: str, *, hint: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint
        self.values = values

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = cls.__name__
        cls.code = "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


class Rejected(RegistryError):
    """The caller asked for something the rules refuse."""

    status = 400
    exit_code = 4


class Malformed(Rejected):
    """The request cannot be read."""

    usual_hint = "see `twinledger COMMAND --help` for the expected form"


class InvalidManifest(Rejected):
    """The manifest breaks its schema or is not its own RFC 8785 form."""

    status = 422
    usual_hint = "compare the manifest with docs/manifest.md"


class Unauthenticated(Rejected):
    """A signature is missing or wrong."""

    status = 401
    usual_hint = "choose a key with --key or TWINLEDGER_KEY"


class NotAuthorized(Rejected):
    """The signer is known and may not do this."""

    status = 403
    usual_hint = "run `twinledger account show` to see your namespace and roles"


class Conflict(Rejected):
    """It contradicts what already is."""

    status = 409
    usual_hint = "run `twinledger show REF` to see the present state"


class Expired(Rejected):
    """A deadline has passed, or is not yet in reach."""

    status = 410
    usual_hint = "sign again with a fresh deadline"


class TooLarge(Rejected):
    """A body, file or manifest is over its limit."""

    status = 413
    usual_hint = "run `twinledger config show` to see the limits"


class FeeTooLow(Rejected):
    """The offered price is under the menu, or the escrow does not cover it."""

    status = 402
    usual_hint = "run `twinledger fees quote` and `twinledger account deposit`"


class RateLimited(Rejected):
    """A rate limit or a quota is spent."""

    status = 429
    usual_hint = "wait, or submit what was uploaded: bytes that a submission names do not count"


class NotFound(RegistryError):
    """Nothing has that name."""

    status = 404
    exit_code = 3
    usual_hint = "run `twinledger search` or `twinledger ls`"


class VerificationFailed(RegistryError):
    """Bytes, a proof or a signature disagree with what was promised."""

    status = 422
    exit_code = 5
    usual_hint = "keep the files and run `twinledger audit fsck`"


class Unavailable(RegistryError):
    """A part does not answer at present; the same request may be sent again."""

    status = 503
    exit_code = 6
    retryable = True
    usual_hint = "try again, then run `twinledger doctor`"


class StoreUnavailable(Unavailable):
    """The content store does not answer, or its disk is full."""


class ChainUnavailable(Unavailable):
    """The chain does not answer, is on another network, or is behind."""


class SealTimeout(Unavailable):
    """The submission is safe in the pool and was not sealed in time."""

    usual_hint = "run `twinledger submission wait VERSION_ID`"


class ChainReorganised(RegistryError):
    """The chain changed deeper than its confirmations."""

    status = 503
    exit_code = 7
    usual_hint = "see docs/operations.md, 'a reorganisation beyond the confirmations'"
