"""What a process begins with is set aside, so that looking for garbage takes no time."""

import subprocess
import sys

SCRIPT = """
import gc, time, weakref
from gateway.app import Application
from models.garbage import set_aside

class Connection:
    pass

def collected():
    began = time.perf_counter()
    gc.collect()
    return time.perf_counter() - began

app = Application()
gc.collect()
before = collected()
set_aside()
after = collected()
closed = Connection()
closed.transport = closed
seen = weakref.ref(closed)
del closed
gc.collect()
print(before / after, seen() is None)
"""


def test_a_full_collection_takes_no_time_and_finds_what_has_come_since() -> None:
    ratio, found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
    assert float(ratio) > 20
    assert found == "True"
