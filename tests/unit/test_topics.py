"""Topics as design and AsyncAPI document name them."""

from gateway.bus.topics import Topics

TOPICS = Topics(root="uns", site="acme/dresden", gateway="gw1")


def test_topics_of_an_asset_and_its_tags() -> None:
    asset = "acme/dresden/packaging/line1/filler"
    assert TOPICS.batch(asset) == "uns/acme/dresden/packaging/line1/filler/_batch"
    assert TOPICS.meta(asset) == "uns/acme/dresden/packaging/line1/filler/_meta"
    assert TOPICS.tag(f"{asset}/temperature") == "uns/acme/dresden/packaging/line1/filler/temperature"
    assert TOPICS.tag(f"{asset}/_maintenance/wear") == "uns/acme/dresden/packaging/line1/filler/_maintenance/wear"


def test_the_status_belongs_to_the_gateway() -> None:
    assert TOPICS.status == "uns/acme/dresden/_gateway/gw1/status"


def test_the_root_may_have_several_levels() -> None:
    assert Topics("plants/eu", "acme/dresden", "gw1").tag("acme/dresden/x/y") == "plants/eu/acme/dresden/x/y"
