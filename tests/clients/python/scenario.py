"""A person's work by the generated Python client: register a host, list, suspend, own, note, maintain, delete."""

import os

from stalker_client import Client
from stalker_client.api.checks import list_checks, list_checks_of_host, set_owner, set_suspension
from stalker_client.api.hosts import create_note, delete_host, list_hosts, list_notes
from stalker_client.api.maintenances import create_maintenance, end_maintenance
from stalker_client.api.registration import post_registration
from stalker_client.models import (
    NewMaintenanceBody,
    NewNote,
    Owner,
    Registration,
    Suspension,
)

HOST = "python 1.example"
url = os.environ["STALKER_URL"]
client = Client(url, headers={"X-API-KEY": os.environ["STALKER_API_KEY"]}, raise_on_unexpected_status=True)
agent = Client(url, headers={"X-REGISTER-KEY": os.environ["STALKER_REGISTER_KEY"]}, raise_on_unexpected_status=True)

registration = Registration.from_dict(
    {"hostname": HOST, "ip": "127.0.0.1", "roles": ["python"], "checks": {"check_load": {"args": "-w 1", "interval": 60, "follow_up": 60}}}
)
registered = post_registration.sync(client=agent, body=registration)
assert (registered.status, registered.added) == ("ok", 1), registered

assert HOST in [host.hostname for host in list_hosts.sync(client=client, role="python").hosts]
[check] = list_checks_of_host.sync(HOST, client=client).checks
assert (check.check, check.status, check.interval) == ("check_load", None, 60), check
assert check.id in [other.id for other in list_checks.sync(client=client, role="python").checks]

assert set_suspension.sync(check.id, client=client, body=Suspension(suspended=True)).success
assert set_owner.sync(check.id, client=client, body=Owner(owner="ann")).success
[check] = list_checks_of_host.sync(HOST, client=client).checks
assert (check.suspended, check.owner) == (True, "ann"), check

assert create_note.sync(HOST, client=client, body=NewNote(note="disk ordered", user="ann")).success
[note] = list_notes.sync(HOST, client=client).notes
assert (note.user, note.note) == ("ann", "disk ordered"), note

declared = create_maintenance.sync(client=client, body=NewMaintenanceBody(hosts=[HOST], lasts=60, reason="new disk"))
assert declared.reach == 1, declared
assert end_maintenance.sync(declared.maintenance.id, client=client).success

assert delete_host.sync(HOST, client=client).success
gone = delete_host.sync_detailed(HOST, client=client)
assert gone.status_code == 404 and gone.parsed.status == 404, gone
