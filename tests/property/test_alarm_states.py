"""The state machine of alarms against a model that keeps one bit for each thing that can be so."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.alarms.states import Condition, Deed, Refused, Shelving, State


class Alarms(RuleBasedStateMachine):
    """One alarm; the model has what OPC UA has of it: orthogonal bits."""

    def __init__(self) -> None:
        super().__init__()
        self.real = Condition()
        self.latching = False
        self.holds = self.active = False
        self.acked = True
        self.shelved = self.one_shot = self.suppressed = self.removed = False

    @precondition(lambda self: not self.active)
    @rule(latching=st.booleans())
    def becomes(self, latching: bool) -> None:
        self.latching = latching

    @precondition(lambda self: not self.holds)
    @rule()
    def comes(self) -> None:
        self.real = self.real.after(Deed.RAISE, latching=self.latching)
        self.holds = self.active = True
        self.acked = False

    @precondition(lambda self: self.holds)
    @rule()
    def goes(self) -> None:
        self.real = self.real.after(Deed.CLEAR, latching=self.latching)
        self.holds = False
        if not self.latching:
            self.over()

    @rule()
    def reset(self) -> None:
        if self.active and not self.holds:
            self.real = self.real.after(Deed.RESET, latching=self.latching)
            self.over()
        else:
            self.refused(Deed.RESET)

    @rule()
    def acknowledge(self) -> None:
        if self.acked:
            self.refused(Deed.ACKNOWLEDGE)
        else:
            self.real = self.real.after(Deed.ACKNOWLEDGE, latching=self.latching)
            self.acked = True

    @rule(one_shot=st.booleans())
    def shelve(self, one_shot: bool) -> None:
        if self.shelved:
            self.refused(Deed.SHELVE)
            return
        self.real = self.real.after(Deed.SHELVE, shelving=Shelving.ONE_SHOT if one_shot else Shelving.TIMED, until_ns=1)
        self.shelved, self.one_shot = True, one_shot

    @rule()
    def unshelve(self) -> None:
        if not self.shelved:
            self.refused(Deed.UNSHELVE)
            return
        self.real = self.real.after(Deed.UNSHELVE)
        self.shelved = self.one_shot = False
        self.shown()

    @rule()
    def suppress(self) -> None:
        self.real = self.real.after(Deed.UNSUPPRESS if self.suppressed else Deed.SUPPRESS)
        self.suppressed = not self.suppressed
        self.shown()

    @rule()
    def serve(self) -> None:
        self.real = self.real.after(Deed.PLACE if self.removed else Deed.REMOVE)
        self.removed = not self.removed
        self.shown()

    def over(self) -> None:
        self.active = False
        if self.one_shot:
            self.shelved = self.one_shot = False
            self.shown()

    def shown(self) -> None:
        if not (self.shelved or self.suppressed or self.removed) and not self.active:
            self.acked = True

    def refused(self, deed: Deed) -> None:
        try:
            self.real.after(deed, latching=self.latching)
        except Refused:
            return
        raise AssertionError(f"{deed} was not refused")

    @invariant()
    def is_as_the_model(self) -> None:
        real = self.real
        assert (real.active, real.acked) == (self.active, self.acked)
        assert real.retain == (self.active or not self.acked)
        assert real.hidden == (self.shelved or self.suppressed or self.removed)
        assert (real.shelving is not Shelving.NOT) == self.shelved
        assert (real.suppressed, real.out_of_service) == (self.suppressed, self.removed)
        latched = real.process in (State.LATCHED_ACKNOWLEDGED, State.LATCHED_UNACKNOWLEDGED)
        assert latched == (self.active and not self.holds)


TestAlarms = Alarms.TestCase
TestAlarms.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
