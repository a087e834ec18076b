"""All that is looked at, in the order in which it is told."""

import os
from concurrent.futures import ThreadPoolExecutor

from api.doctor.deployment import look_at_database, look_at_ray, look_at_service, look_at_trackers, read_settings
from api.doctor.finding import Finding
from api.doctor.machine import look_at_cores, look_at_folder, look_at_memory, look_at_shared_memory
from api.doctor.network import look_at_ports, look_at_proxies
from api.doctor.software import look_at_python, look_at_torch
from orchestrator.state_folder import state_folder


def examine() -> list[Finding]:
    """Look at everything; nothing is changed, but for a file that is written and removed to time the disk."""
    settings, complaints = read_settings()
    home = state_folder() if settings is None else settings.home
    with ThreadPoolExecutor() as pool:
        # torch takes seconds to import, a server that is away seconds to be given up.
        slow = [pool.submit(look) for look in (look_at_torch, lambda: look_at_ray(settings), look_at_service)]
        slow += [pool.submit(lambda: look_at_trackers(settings)), pool.submit(lambda: look_at_database(settings))]
        findings = [look_at_python(), look_at_cores(), look_at_memory(), look_at_shared_memory()]
        findings.append(look_at_folder("state folder", home, needed_gib=1))
        if settings is not None and settings.storage is not None:
            findings.append(look_at_folder("storage", settings.effective_storage, needed_gib=1, is_shared=True))
        findings += [*look_at_ports(home), look_at_proxies(os.environ), *complaints]
        torch, ray, service, trackers, database = (future.result() for future in slow)
    return [findings[0], *torch, *findings[1:], *ray, *service, *trackers, *database]
