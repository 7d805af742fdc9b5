"""service: the other payees, from an offer to its payment."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.context import client
from registry.cli.output import show, table
from registry.errors import Malformed

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="what is wanted: text, or 32 bytes as 0x…")]
KindOption = Annotated[str, typer.Option("--kind", help="aggregation, hosting or connectivity")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Aggregators, hosts, gateways and operators.", no_args_is_help=True)
    for name, command in (
        ("job", job),
        ("offer", offer),
        ("award", award),
        ("attest", attest),
        ("pay", pay),
        ("end", end),
        ("withdraw", withdraw),
        ("list", list_),
    ):
        group.command(name)(command)
    app.add_typer(group, name="service")


def job(
    document: Annotated[Path, typer.Argument(help="JSON of the schema twinledger/job/1")],
) -> None:
    """Requester: publish the rule of an award before anybody offers; its digest is the JOB."""
    from registry.core.canonical import strict_json
    from registry.sdk.updates import read_bytes
    from registry.wire import parse_body
    from registry.wire_services import JobBody

    given = parse_body(JobBody, strict_json(read_bytes(str(document))))
    digest = "0x" + client().services.publish(given).hex()
    show(
        {"job": digest},
        [f"offers are made for job {digest}, awarded by `service award {digest} --by-document`"],
    )


def offer(
    job: JobArgument,
    price: Annotated[int, typer.Option(help="wei an epoch; for connectivity per rate unit too", min=0)],
    kind: KindOption = "hosting",
    bond: Annotated[int, typer.Option(help="wei put up against fraud", min=0)] = 0,
) -> None:
    """Offer to do a job."""
    found = client().services.offer(_job(job), kind, price, bond=bond)
    show(found, [f"offer {found.offer}: {found.kind} at {found.price} wei, bond {found.bond} wei"])


def award(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="the job to award by second score")
    ] = None,
    attestor: Annotated[str, typer.Option(help="who says whether an epoch was served")] = "",
    kind: KindOption = "hosting",
    value: Annotated[
        list[str] | None, typer.Option(metavar="OFFER=WEI", help="what the job is worth by this offer")
    ] = None,
    take: Annotated[
        int | None, typer.Option(metavar="OFFER", help="take a connectivity offer instead")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 1,
    units: Annotated[int, typer.Option(help="rate units (connectivity)", min=1)] = 1,
    reserve: Annotated[int, typer.Option(help="least score (value - price) taken", min=0)] = 0,
    minimum_bond: Annotated[int, typer.Option(help="offers with less do not take part", min=0)] = 0,
    bonus: Annotated[int, typer.Option(help="wei more for each passed epoch", min=0)] = 0,
    deadline: Annotated[int, typer.Option(help="seconds until the rest goes back", min=1)] = 2_592_000,
    by_document: Annotated[
        bool, typer.Option("--by-document", help="by the rule published with `service job`, and nothing else")
    ] = False,
) -> None:
    """Award a job to the best score, or take a posted price; every payment is funded now."""
    from registry.sdk.services import AwardPlan

    plan = AwardPlan(attestor, epochs, deadline, units, reserve, minimum_bond, bonus)
    if (job is None) == (take is None):
        raise Malformed("award needs a JOB or --take OFFER, and not both")
    services = client().services
    if job is not None and by_document:
        found = services.award_by_document(_job(job))
    elif job is not None:
        found = services.award(_job(job), kind, _values(value or []), plan)
    else:
        found = services.take(take or 0, plan)
    lines = [
        f"service {found.service}: {found.provider} is paid {found.wage} wei for each passed epoch",
        f"{found.held} wei are held, and a bond of {found.bond} wei",
    ]
    show(found, lines)


def attest(
    service: int,
    epoch: Annotated[int, typer.Option(help="counted from 0", min=0)],
    passed: Annotated[bool, typer.Option("--passed/--failed")],
) -> None:
    """Attestor: say whether the service was given in an epoch; final."""
    tx_hash = client().services.attest(service, epoch, passed=passed)
    show({"tx_hash": tx_hash}, [f"epoch {epoch} is attested (transaction {tx_hash})"])


def pay(service: int, epoch: Annotated[int, typer.Option(min=0)]) -> None:
    """Pay the provider for a passed epoch; anyone may."""
    tx_hash = client().services.pay(service, epoch)
    show({"tx_hash": tx_hash}, [f"epoch {epoch} is paid (transaction {tx_hash})"])


def end(service: int) -> None:
    """Return what is left, once every epoch is decided or the deadline has passed."""
    tx_hash = client().services.end(service)
    show({"tx_hash": tx_hash}, [f"service {service} has ended (transaction {tx_hash})"])


def withdraw(offer: int) -> None:
    """Take your offer back, with its bond."""
    tx_hash = client().services.withdraw(offer)
    show({"tx_hash": tx_hash}, [f"offer {offer} is withdrawn (transaction {tx_hash})"])


def list_() -> None:
    """Every offer and every awarded service."""
    found = client().services.all()
    offers = [[o.offer, o.kind, o.provider, o.price, o.bond, o.standing, o.job[:14]] for o in found.offers]
    services = [
        [s.service, s.kind, s.provider, s.wage, sum(e.paid for e in s.epochs), len(s.epochs), s.held]
        for s in found.items
    ]
    lines = [
        *table(["offer", "kind", "provider", "price", "bond", "standing", "job"], offers),
        "",
        *table(["service", "kind", "provider", "wage", "paid", "epochs", "held"], services),
    ]
    show(found, lines)


def _job(text: str) -> bytes:
    from registry.core.ids import keccak, parse_hex32

    return parse_hex32(text) if text.startswith("0x") else keccak(text.encode())


def _values(given: list[str]) -> dict[int, int]:
    try:
        return {int(offer): int(wei) for offer, wei in (text.split("=") for text in given)}
    except ValueError as e:
        raise Malformed(f"{given} are no values", hint="write --value OFFER=WEI") from e
