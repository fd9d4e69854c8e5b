"""An environment in several regions has one dossier, which names the region of everything."""

from __future__ import annotations

from delivery.dossier.permissions import compare
from delivery.dossier.sides import Side, Stack
from tests.delivery.dossier.changes import INFERENCE
from tests.delivery.dossier.world import ACCOUNT, Templates, allow, templates

HOME, SECOND = "us-east-1", "eu-west-1"


def everywhere(**planned: Templates) -> Side:
    places = {"home": HOME, "second": SECOND}
    return Side(
        Stack(name, ACCOUNT, places[place], template)
        for place, stacks in planned.items()
        for name, template in stacks.items()
    )


def test_same_names_in_two_regions_are_two_things() -> None:
    wider = templates()
    policy = wider[INFERENCE]["Resources"]["RolePolicy"]["Properties"]["PolicyDocument"]
    policy["Statement"].append(allow("dynamodb:Scan", policy["Statement"][0]["Resource"]))
    before = everywhere(home=templates(), second=templates())
    after = everywhere(home=templates(), second=wider)
    assert [each.sentence for each in compare(before, after, ACCOUNT).gained] == [
        "Role Role (vision-prod-inference in eu-west-1) may now do: dynamodb:Scan on table Table "
        "(vision-prod-data in eu-west-1)"
    ]


def test_new_region_broadens_what_may_be_done() -> None:
    before, after = everywhere(home=templates()), everywhere(home=templates(), second=templates())
    found = compare(before, after, ACCOUNT)
    assert found.broadened
    assert {"eu-west-1" in each.sentence for each in found.gained} == {True}
