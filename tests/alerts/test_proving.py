"""Receivers that refuse, and those of which nobody knows whether they work, are told by another way."""

from alerts.routing import Route
from tests.timeline import START, Timeline, plan, receiver, threshold

DAY = 86_400.0


def two(**fields):
    return plan(threshold("shop/a"), route=Route("team"), receivers=[receiver("team"), receiver("mail")], **fields)


def test_a_receiver_that_refuses_for_good_is_told_to_another_until_it_accepts_again():
    line = Timeline(two())
    line.fail("shop/a")
    [parcel] = line.told
    line.told.clear()
    line.engine.attempted(parcel, "dead", "Slack refuses chat.postMessage: token_revoked", line.now)
    line.decide()
    line.at(1)
    [complaint] = line.told
    assert (
        complaint.note.alerts[0].sentence
        == "team can't be told by webhook: Slack refuses chat.postMessage: token_revoked"
    )
    assert line.heard() == ["0 mail first: RunwatchReceiverRefuses"]
    line.at(50).engine.attempted(parcel, "delivered", "", line.now)
    line.decide()
    line.at(51)
    assert line.heard() == ["50 mail resolved: RunwatchReceiverRefuses"]


def test_one_that_is_only_slow_is_not_complained_of():
    line = Timeline(two())
    line.fail("shop/a")
    line.engine.attempted(line.told.pop(), "retry", "503", line.now)
    line.decide()
    line.at(10)
    assert line.heard() == []


def test_one_that_is_configured_anew_is_no_longer_complained_of():
    line = Timeline(two())
    line.fail("shop/a")
    line.engine.attempted(line.told.pop(), "dead", "gone", line.now)
    line.decide()
    line.at(1)
    line.told.clear()
    line.engine.replan(two(), line.now)
    line.decide()
    line.at(2)
    assert line.heard() == ["1 mail resolved: RunwatchReceiverRefuses"]


def test_what_accepted_nothing_for_long_is_reported_and_a_delivery_is_proof():
    line = Timeline(two(prove_within=30 * DAY))
    line.at(DAY).fail("shop/a")
    line.engine.attempted(line.told.pop(), "delivered", "", line.now)
    line.at(DAY + 5).ok("shop/a")
    line.told.clear()
    line.at(30 * DAY)
    said = [(parcel.note.receiver, parcel.note.alerts[0].sentence) for parcel in line.told]
    assert said == [("team", "nothing was delivered to mail/webhook ever: nobody knows whether a page would arrive")]
    line.told.clear()
    line.at(31 * DAY)
    assert any("to team/webhook for 30d" in parcel.note.alerts[0].sentence for parcel in line.told)


def test_proofs_survive_a_restart():
    line = Timeline(two(prove_within=30 * DAY))
    line.fail("shop/a")
    line.engine.attempted(line.told.pop(), "delivered", "", line.now)
    line.decide()
    proofs = {proof.key: proof.delivered_at for proof in line.kept.proofs.values()}
    assert proofs == {"team/webhook": START, "mail/webhook": 0.0}
