"""A day of four gateways, as lines that they would write: sample records for pictures. The same each time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from lexilog import Pipeline, Record, document

__all__ = ["sample_day"]

Line = tuple[float, str]
Span = tuple[float, float]

_SD = "junos@2636.1.1.1.2.129"
_JUNOS = "<{pri}>1 {iso} {device} kmd 14162 {id} {data} {text}"
_ALARM = (
    "VPN {tunnel} from {peer} is {state}. Local-ip: 192.0.2.1, gateway name: gw-{tunnel}, vpn name: {tunnel}, "
    "tunnel-id: 131073, local tunnel-if: st0.1, remote tunnel-ip: Not-Available, Local IKE-ID: 192.0.2.1, "
    "Remote IKE-ID: {peer}, AAA username: Not-Applicable, VR id: 0, Traffic-selector: , Traffic-selector local ID: "
    "ipv4_subnet(any:0,[0..7]=10.1.0.0/16), Traffic-selector remote ID: ipv4_subnet(any:0,[0..7]=10.2.0.0/16), "
    "SA Type: Static{reason}"
)
_LOOKUP = (
    "Policy lookup for Phase-2 [responder] failed for p1_local=ipv4(udp:500,[0..3]=192.0.2.1) "
    "p1_remote=ipv4(udp:500,[0..3]={peer}) p2_local=ipv4_subnet(any:0,[0..7]=10.1.0.0/16) "
    "p2_remote=ipv4_subnet(any:0,[0..7]={net}/12)"
)
_LOOKUP_1 = (
    "Policy lookup for Phase-1 [responder] failed for p1_local=ipv4(udp:500,[0..3]=192.0.2.1) "
    "p1_remote=fqdn(udp:500,[0..9]=gw.example)"
)
_FAILED = (
    "IKE negotiation failed with error: {reason}. IKE Version: 2, VPN: {tunnel} Gateway: gw-{tunnel}, "
    "Local: 192.0.2.1/500, Remote: {peer}/500, Local IKE-ID: 192.0.2.1, Remote IKE-ID: {peer}, VR-ID: 0"
)
_CLAVISTER = (
    "<134>[{clavister}] EFW: {what} localip=192.0.2.2 localport=500 remoteip={peer} remoteport=500 iface={tunnel}"
)
_MOCANA = "{mocana} gw1 Mocana: [AAA], SubCls:ACCT, EID: 1200000001, Type: Acct, Sev:Informational, {text}"
_UNNAMED = "{mocana} gw1 Mocana: [CFM], SubCls:999, EID: 0, Type: General, Sev:Major, a message that nobody documents"
_DOUBTFUL = '<134>[{clavister}] EFW: IKE: prio=1 rev=1 message="Released address." ip=192.0.2.51'
_SSH = "<38>1 {iso} srx1 sshd 3301 - - Accepted publickey for admin from 192.0.2.77 port 50022"
_SITES = {
    "branch-berlin": "198.51.100.7",
    "branch-lyon": "198.51.100.21",
    "branch-porto": "198.51.100.40",
    "warehouse": "203.0.113.9",
    "partner-north": "203.0.113.77",
}
_USERS = ("user01", "user02", "user03", "user04", "user05", "user06")
_PHONES = (("ios", "iPhone14,5", "18.1"), ("android", "Pixel 9", "15"), ("ios", "iPad13,1", "17.6"))


def sample_day(end: datetime) -> list[dict[str, Any]]:
    """Return the records of the day before a moment, as the processor makes them of the lines."""
    day = _Day(random.Random(7), end)  # noqa: S311 (no secret is made of it)
    moment = end
    pipeline = Pipeline(now=lambda: moment)
    found = []
    for minutes, line in day.lines():
        # For an hour, records come late.
        late = timedelta(seconds=day.chance.choice((0.4, 0.8, 1.5, 3)) + (45 if 300 < minutes < 360 else 0))
        moment = end - timedelta(minutes=minutes) + late
        problem = "the agent's map is nested too deep" if day.chance.random() < 0.004 else None
        found.append(document(pipeline.process(Record(line=line, problem=problem))))
        found[-1].setdefault("@timestamp", moment.isoformat())
    return found


class _Day(NamedTuple):
    """What happens, as lines with the minutes that they lie before the end."""

    chance: random.Random
    end: datetime

    def lines(self) -> Iterator[Line]:
        yield from self._tunnels()
        yield from self._negotiations()
        yield from self._users()
        yield from self._apps()
        yield from self._strangers()

    def _at(self, low: float, high: float) -> tuple[float, dict[str, str]]:
        minutes = self.chance.uniform(low, high)
        then = (self.end - timedelta(minutes=minutes)).astimezone(UTC)
        times = {
            "iso": then.isoformat(timespec="milliseconds"),
            "clavister": then.strftime("%Y-%m-%d %H:%M:%S"),
            "mocana": then.strftime("%b %d %Y %H:%M:%S"),
        }
        return minutes, times

    def _junos(self, span: Span, pri: int, tag: str, text: str, *, data: str = "-", device: str = "srx1") -> Line:
        minutes, times = self._at(*span)
        return minutes, _JUNOS.format(pri=pri, id=tag, data=data, text=text, device=device, **times)

    def _clavister(self, span: Span, what: str, tunnel: str) -> Line:
        minutes, times = self._at(*span)
        return minutes, _CLAVISTER.format(what=what, peer=_SITES[tunnel], tunnel=tunnel, **times)

    def _alarm(self, minutes: float, tunnel: str, state: str, reason: str = "") -> Line:
        text = _ALARM.format(tunnel=tunnel, peer=_SITES[tunnel], state=state, reason=reason and f", Reason: {reason}")
        return self._junos((minutes, minutes), 30, f"KMD_VPN_{state.upper()}_ALARM_USER", text)

    def _tunnels(self) -> Iterator[Line]:
        dead = "DPD detected peer as down. Existing IKE/IPSec SAs cleared"
        for tunnel, minutes in (("branch-berlin", 1300), ("branch-berlin", 380), ("branch-lyon", 1100)):
            yield self._alarm(minutes, tunnel, "down", dead)
            yield self._alarm(minutes - self.chance.uniform(0.3, 6), tunnel, "up")
        for number in range(14):
            yield self._alarm(700 - number * 9, "branch-porto", "down", "Lifetime expired")
            yield self._alarm(700 - number * 9 - 3, "branch-porto", "up")
        yield self._alarm(42, "branch-lyon", "down", dead)
        yield self._clavister((75, 76), 'IKE: prio=2 id=803 rev=1 message="Peer is dead."', "partner-north")

    def _negotiations(self) -> Iterator[Line]:
        failed = _FAILED.format(reason="Timed out", tunnel="branch-lyon", peer=_SITES["branch-lyon"])
        lookup = _LOOKUP.format(peer=_SITES["warehouse"], net="172.16.0.0")
        for _ in range(38):
            yield self._junos((0, 43), 27, "IKE_FAILED", failed)
        for _ in range(60):
            yield self._junos((400, 1440), 43, "KMD_PM_P2_POLICY_LOOKUP_FAILURE", lookup)
        for _ in range(25):
            yield self._junos((0, 1440), 43, "KMD_PM_P1_POLICY_LOOKUP_FAILURE", _LOOKUP_1, device="srx2")
        for _ in range(30):
            what = 'IKE: prio=2 id=642 rev=1 message="IKE negotiation failed." reason="No proposal chosen"'
            yield self._clavister((100, 900), what, "partner-north")
        for _ in range(90):
            tunnel = self.chance.choice(("warehouse", "partner-north"))
            for what in (
                'id=590 message="Successfully deleted IKE SA."',
                'id=155 message="Successfully created IPsec SA."',
            ):
                yield self._clavister((0, 1440), f"IKE: prio=2 rev=1 {what}", tunnel)
        for _ in range(6):
            yield self._clavister((0, 1440), 'IKE: prio=1 rev=1 message="Released address." ip=192.0.2.51', "warehouse")

    def _users(self) -> Iterator[Line]:
        for number in range(120):
            span = (1440 - number * 12 - 10, 1440 - number * 12)
            free = max(0, 25 - number // 5)
            data = f'[{_SD} limit="{free}" count="0" current-value="{25 - free}"]'
            text = f"Dynamic VPN license granted, license {free} free, 0 overdrafted, {25 - free} used"
            yield self._junos(span, 158, "DYNAMIC_VPN_LICENSE_ASSIGNED", text, data=data, device="srx2")
            user = self.chance.choice(_USERS)
            text = f"User {user} with laptop 7A4F authenticated successfully."
            data = f'[{_SD} type="User" username="{user}" client-name="laptop" client-id="7A4F"]'
            yield self._junos(span, 37, "DYNAMIC_VPN_AUTH_OK", text, data=data, device="srx2")
        for _ in range(9):
            text = "Dynamic VPN license denied, no available license"
            yield self._junos((0, 60), 155, "DYNAMIC_VPN_LICENSE_EXHAUSTED", text, device="srx2")
        for _ in range(26):
            user = self.chance.choice(("user04", "user04", "user04", "admin", "user02"))
            data, text = f'[{_SD} type="user" username="{user}"]', f"user {user} is invalid"
            yield self._junos((0, 1440), 35, "DYNAMIC_VPN_AUTH_INVALID", text, data=data, device="srx2")

    def _apps(self) -> Iterator[Line]:
        for _ in range(70):
            minutes, times = self._at(0, 1430)
            for text in self._session():
                yield minutes, _MOCANA.format(text=text, **times)

    def _session(self) -> Iterator[str]:
        user, (system, hardware, version) = self.chance.choice(_USERS), self.chance.choice(_PHONES)
        device = {
            "osType": system, "deviceName": f"{user}'s device", "hardware": hardware, "version": version,
            "uniqueId": f"00000000-0000-4000-8000-0000000000{_USERS.index(user):02d}", "jailbroken": False,
        }  # fmt: skip
        if self.chance.random() < 0.12:
            why = {
                "reason": "Passcode policy: device is out of compliance",
                "remediation": "Set a passcode.",
            }
            yield f"Policy REJECT {json.dumps({**why, 'sessionId': {'username': user, 'device': device}})}"
            return
        seconds = int(self.chance.lognormvariate(6.5, 0.8))
        app = {"assignedIp": "192.0.2.51", "publicSrcIp": "198.51.100.25", "appPackageId": "com.example.app"}
        traffic = {
            "packetsRx": seconds * 3, "bytesRx": seconds * self.chance.randint(900, 4000),
            "packetsTx": seconds * 2, "bytesTx": seconds * self.chance.randint(300, 900),
        }  # fmt: skip
        yield f"Session START {json.dumps({'sessionId': {'username': user, 'device': device, 'app': app}})}"
        lasted = {"duration": f"{seconds // 60} minutes {seconds % 60} seconds", "durationSeconds": seconds}
        ended = {"username": user, **lasted, "device": device, "app": {**app, **traffic}}
        yield f"Session STOP {json.dumps({'sessionId': ended})}"

    def _strangers(self) -> Iterator[Line]:
        for _ in range(25):
            minutes, times = self._at(0, 1440)
            yield minutes, _SSH.format(**times)
            minutes, times = self._at(0, 1440)
            yield minutes, _UNNAMED.format(**times)
        for _ in range(7):
            minutes, times = self._at(0, 1440)
            yield minutes, _DOUBTFUL.format(**times)
            yield self._junos((0, 1440), 29, "KMD_VPN_PATH_CHANGED", "VPN warehouse has another path")
        for _ in range(4):
            yield self._junos((0, 1440), 37, "DYNAMIC_VPN_AUTH_OK", "", data=f'[{_SD} type="User" user', device="srx2")
        for user in ("ren\udce9", "j\udcfcrgen"):
            data, text = f'[{_SD} type="user" username="{user}"]', f"user {user} is invalid"
            yield self._junos((0, 1440), 35, "DYNAMIC_VPN_AUTH_INVALID", text, data=data, device="srx2")
