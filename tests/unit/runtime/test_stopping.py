"""SIGTERM is noted, and the process goes on; the second one is not."""

import os
import signal
import subprocess
import sys
import threading

from medvision.runtime.stopping import heed_sigterm


def test_sigterm_is_noted_and_the_handler_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with heed_sigterm() as has_come:
        assert not has_come()
        os.kill(os.getpid(), signal.SIGTERM)
        assert has_come()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_sigterm_kills():
    code = (
        "import os, signal\n"
        "from medvision.runtime.stopping import heed_sigterm\n"
        "with heed_sigterm():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('alive', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still alive', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == "alive\n"


def test_a_patient_one_notes_them_all():
    with heed_sigterm(is_patient=True) as has_come:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert has_come()


def test_outside_the_main_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGTERM)
    said = []

    def work():
        with heed_sigterm() as has_come:
            said.append((has_come(), signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [(False, True)]
