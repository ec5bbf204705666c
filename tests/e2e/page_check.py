"""The coordinator's page as somebody without a mouse, on a phone, at night has it: in a real Chromium, over its debugging
protocol. Usage: page_check.py CHROMIUM ADDRESS FOLDER (of screenshots). Wants a sweep number 1 with a table and curves, and a
sweep 'slow' that runs. Prints what is wrong, one line each, and ends with 1 then."""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENCE_S = 60


class Browser:
    """One page of a headless browser. Requests are answered in order; events between them are looked at for errors."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder}",
             "--remote-debugging-port=0", "about:blank"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        host = next(found.group(1) for found in (re.search(r"ws://([^/]+)", line) for line in self.process.stderr) if found)
        with urllib.request.urlopen(f"http://{host}/json") as reply:
            page = next(one for one in json.load(reply) if one["type"] == "page")
        path = page["webSocketDebuggerUrl"].split(host, 1)[1]
        name, port = host.split(":")
        self.socket = socket.create_connection((name, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.bytes = b""
        while b"\r\n\r\n" not in self.bytes:
            self.bytes += self.socket.recv(4096)
        self.bytes = self.bytes.split(b"\r\n\r\n", 1)[1]
        self.number = 0
        self.errors = []
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def take(self, n):
        while len(self.bytes) < n:
            self.bytes += self.socket.recv(1 << 16)
        taken, self.bytes = self.bytes[:n], self.bytes[n:]
        return taken

    def hear(self):
        """A message, of one frame or several (RFC 6455, section 5.2)."""
        text = b""
        while True:
            first, second = self.take(2)
            n = second & 127
            if n == 126:
                n, = struct.unpack(">H", self.take(2))
            elif n == 127:
                n, = struct.unpack(">Q", self.take(8))
            text += self.take(n)
            if first & 128:
                return json.loads(text)

    def ask(self, method, **parameters):
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        head = bytes([129, 128 | len(text)]) if len(text) < 126 else bytes([129, 254]) + struct.pack(">H", len(text))
        self.socket.sendall(head + bytes(4) + text)  # a mask of zeros
        while True:
            message = self.hear()
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(message["params"])[:300])
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(message["error"])
                return message["result"]

    def of(self, expression):
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression):
        """Until it is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.of(f"!!({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"never became true: {expression}")
            time.sleep(0.1)

    def press(self, key):
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                     text="\r" if key == "Enter" and kind == "keyDown" else "")

    def look(self, width, dark):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=840, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file):
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))


WRONG = []


def expect(what, is_so):
    if not is_so:
        WRONG.append(what)


def check_keyboard(browser):
    """From the first key on to a sweep's page; and a list that is renewed takes nobody off the link they are on."""
    browser.of("location.hash = '#/'")
    browser.wait("document.querySelector('table a')")
    browser.press("Tab")
    expect("the first stop is the way past the navigation", browser.of("document.activeElement.className") == "skip")
    stops = []
    while "slow" not in stops and len(stops) < 20:
        browser.press("Tab")
        stops.append(browser.of("document.activeElement.textContent"))
    expect(f"Tab comes to the navigation and every sweep, not {stops}",
           stops[:4] == ["Gauntlet", "Sweeps", "Jobs", "Workers"] and stops[-1] == "slow")
    expect("who is on a link sees it", browser.of("getComputedStyle(document.activeElement).outlineStyle") == "solid")
    before = json.dumps(browser.of("document.querySelector('table').innerText"))
    browser.wait(f"document.querySelector('table').innerText !== {before}")
    expect("a list that is renewed keeps who is on a link in it",
           browser.of("document.activeElement.textContent") == "slow")
    browser.press("Enter")
    browser.wait("document.title.startsWith('slow')")


def check_curves(browser):
    browser.of("location.hash = '#/sweep/1'")
    browser.wait("document.querySelector('table.results') && document.querySelectorAll('figure .legend').length > 1")
    looks = browser.of("""[...document.querySelectorAll('.legend li')].map(one =>
        one.textContent + '=' + one.querySelector('line').getAttribute('class'))""")
    expect(f"a defense has one line style in every panel: {sorted(set(looks))}",
           len({one.split("=")[0] for one in looks}) == len(set(looks)))
    expect("precision and recall go from 0 to 1", browser.of("""[...document.querySelectorAll('figure')].filter(one =>
        one.querySelector('.legend')).every(one => ['0', '1'].every(end => [...one.querySelectorAll('svg[role] text')]
        .filter(text => text.textContent === end).length === 2))"""))


def check_phone(browser, folder):
    for dark in (False, True):
        browser.look(360, dark)
        for name, route, there in (("sweeps", "#/", "td .bar"), ("sweep", "#/sweep/1", "figure .legend"),
                                   ("jobs", "#/jobs?sweep=1", "form.filter ~ * td"), ("workers", "#/workers", "td")):
            browser.of(f"location.hash = '{route}'")
            browser.wait(f"document.querySelector('main {there}')")
            expect(f"{route} is as wide as a phone", browser.of("document.documentElement.scrollWidth") <= 360)
            browser.picture(os.path.join(folder, f"{name}-phone-{'dark' if dark else 'light'}.png"))
        ground = browser.of("getComputedStyle(document.body).backgroundColor")
        expect(f"{'dark' if dark else 'light'} ground, not {ground}", ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"))


def main():
    program, address, folder = sys.argv[1:]
    browser = Browser(program)
    try:
        browser.look(1180, False)
        browser.ask("Page.navigate", url=address)
        browser.wait("document.readyState === 'complete' && location.pathname === '/' && !location.search")
        check_keyboard(browser)
        check_curves(browser)
        check_phone(browser, folder)
        expect(f"no errors: {browser.errors}", not browser.errors)
    except TimeoutError as error:
        WRONG.append(str(error))
    finally:
        browser.close()
    print("\n".join(WRONG))
    return 1 if WRONG else 0


sys.exit(main())
