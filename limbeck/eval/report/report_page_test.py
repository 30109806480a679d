"""Opens a report page in headless Chromium, light and dark, and checks what a reader would see.

    report_page_test.py PAGE [CHROMIUM] [--out FOLDER]

Checks: every figure has its SVG with a size; no text lies outside of its SVG or on other text of
it; all text has contrast enough; nothing but the page itself was requested; a script in the page
could not run. Screenshots of the whole page are left in FOLDER when it is given. Exit status: 0 good, 1 not, 77 skipped
because there is no Chromium.
"""

import argparse
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

WIDTH = 1160
SLICE = 1500  # pixels of a screenshot's height, so that it stays readable
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCHEMES = {"dark": 0, "light": 1}  # values of the browser's setting

# Runs in a copy of the page without its policy, and leaves its findings in an element of its own.
MEASURE = """
const found = {outside: [], overlaps: [], contrast: [], figures: 0, svgs: 0, hidden: 0};
const number = text => text.match(/[0-9.]+/g).map(Number);
const linear = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
const ratio = (a, b) => { const x = light(a) + 0.05, y = light(b) + 0.05;
  return Math.max(x, y) / Math.min(x, y); };
const behind = node => { for (; node; node = node.parentElement) {
  const c = number(getComputedStyle(node).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
for (const details of document.querySelectorAll('details')) details.open = true;
found.figures = document.querySelectorAll('figure').length;
for (const svg of document.querySelectorAll('svg')) {
  found.svgs += 1;
  const box = svg.getBoundingClientRect();
  if (box.width < 50 || box.height < 50) found.hidden += 1;
  const page = behind(svg.parentElement);
  const texts = [...svg.querySelectorAll('text')].map(t => {
    const r = t.getBoundingClientRect();
    // The last child: a title may stand before the text itself.
    return {text: t.lastChild.textContent, css: t.getAttribute('class'), r, node: t}; });
  const label = svg.getAttribute('aria-label');
  for (const t of texts) {
    if (t.r.left < box.left - 1 || t.r.right > box.right + 1 || t.r.top < box.top - 1 ||
        t.r.bottom > box.bottom + 1) found.outside.push(label + ': ' + t.text);
    if (t.css !== 'number') {
      const c = ratio(number(getComputedStyle(t.node).fill), page);
      if (c < 4.5) found.contrast.push(label + ': ' + t.text + ' ' + c.toFixed(2));
    }
  }
  // Boxes of letters are taller than what is drawn, so a pixel or two of them may meet.
  for (let i = 0; i < texts.length; ++i) for (let k = 0; k < i; ++k) {
    const a = texts[i].r, b = texts[k].r;
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
      found.overlaps.push(label + ': ' + texts[k].text + ' / ' + texts[i].text);
  }
}
for (const node of document.querySelectorAll('p, td, th, li, figcaption, summary, pre, h1, h2, h3, a')) {
  if (!node.textContent.trim()) continue;
  const c = ratio(number(getComputedStyle(node).color), behind(node));
  if (c < 4.5) found.contrast.push(node.tagName + ': ' + node.textContent.slice(0, 40));
}
found.wide = document.documentElement.scrollWidth > innerWidth;
found.dark = matchMedia('(prefers-color-scheme: dark)').matches;
for (const details of document.querySelectorAll('details')) details.open = false;
found.height = document.documentElement.scrollHeight;
const out = document.createElement('pre');
out.id = 'findings';
out.textContent = JSON.stringify(found);
document.body.append(out);
"""

TAMPER = "<script>document.body.dataset.tampered = 'yes'</script>"


def run_browser(chromium, scheme, arguments, folder):
    command = [
        chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-extensions", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", *arguments,
    ]
    done = subprocess.run(command, capture_output=True, timeout=180, check=False)
    if done.returncode != 0:
        sys.exit(f"the browser ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    return done.stdout.decode("utf-8", "replace")


def copy_with(page, folder, name, script, keep_policy):
    text = page
    if not keep_policy:
        text = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)
    path = folder / name
    path.write_text(text.replace("</body>", script + "</body>"), encoding="utf-8")
    return path


def measure(chromium, scheme, page, folder):
    path = copy_with(page, folder, "measured.html", f"<script>{MEASURE}</script>", False)
    dom = run_browser(chromium, scheme, [f"--window-size={WIDTH},1000", "--dump-dom",
                                         path.as_uri()], folder)
    match = re.search(r'<pre id="findings">(.*?)</pre>', dom, re.S)
    if match is None:
        sys.exit("the page could not be measured: its script left nothing")
    return json.loads(html.unescape(match[1]))


def requests_of(chromium, scheme, path, folder):
    """Addresses that were asked for while the page was open, apart from the page."""
    log = folder / "net.json"
    run_browser(chromium, scheme, [f"--log-net-log={log}", "--dump-dom", path.as_uri()], folder)
    text = log.read_text(encoding="utf-8", errors="replace")
    found = set(re.findall(r'"url":"((?:https?|wss?|ftp)://[^"]*)"', text))
    # What the browser asks on its own, whatever is open.
    own = re.compile(r"https?://([a-z0-9.-]+\.)?(google|googleapis|gstatic|gvt1|chromium)\.")
    return sorted(u for u in found if not own.match(u))


def screenshots(chromium, scheme, path, height, folder, out):
    """Slices of the page from top to bottom: a copy is shifted up by a whole slice each time."""
    page = path.read_text(encoding="utf-8")
    for number, top in enumerate(range(0, height, SLICE)):
        shift = f"<style>body {{ position: relative; top: -{top}px; }}</style>"
        slice_path = folder / "slice.html"
        slice_path.write_text(page.replace("</head>", shift + "</head>"), encoding="utf-8")
        run_browser(chromium, scheme,
                    [f"--window-size={WIDTH},{min(SLICE, height - top) or 1}",
                     f"--screenshot={out / f'report_{scheme}_{number}.png'}",
                     slice_path.as_uri()], folder)


def check(scheme, found, page, least):
    problems = []
    if found["dark"] != (scheme == "dark"):
        problems.append("the browser did not take the colour scheme")
    for name in ("figures", "svgs"):
        wanted = page.count("<figure>")
        if found[name] != wanted or wanted < least:
            problems.append(f"{found[name]} {name}; {wanted} in the file")
    if found["hidden"]:
        problems.append(f"{found['hidden']} figures have no size")
    if found["wide"]:
        problems.append("the page is wider than its window")
    for name in ("outside", "overlaps", "contrast"):
        for text in found[name][:10]:
            problems.append(f"{name}: {text}")
        if len(found[name]) > 10:
            problems.append(f"{name}: {len(found[name]) - 10} more")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("chromium", nargs="?")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--least", type=int, default=1,
                        help="figures that must be there; 0 for a run of the full cache alone")
    arguments = parser.parse_args()
    names = [arguments.chromium] if arguments.chromium else NAMES
    chromium = next((p for p in map(shutil.which, names) if p), None)
    if chromium is None:
        print(f"skipped: no Chromium found under the names {', '.join(names)}")
        return 77
    arguments.page = arguments.page.resolve()
    page = arguments.page.read_text(encoding="utf-8")
    problems = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        out = arguments.out or folder
        out.mkdir(parents=True, exist_ok=True)
        for scheme in ("light", "dark"):
            found = measure(chromium, scheme, page, folder)
            problems += [f"{scheme}: {p}" for p in check(scheme, found, page, arguments.least)]
            height = found["height"] if arguments.out else SLICE
            screenshots(chromium, scheme, arguments.page, height, folder, out)
            if not (out / f"report_{scheme}_0.png").exists():
                problems.append(f"{scheme}: there is no screenshot")
        asked = requests_of(chromium, "light", arguments.page, folder)
        problems += [f"the page asked for {u}" for u in asked]
        tampered = copy_with(page, folder, "tampered.html", TAMPER, True)
        if 'data-tampered="yes"' in run_browser(
                chromium, "light", ["--dump-dom", tampered.as_uri()], folder):
            problems.append("a script in the page ran in spite of its policy")
    for problem in problems:
        print(problem)
    print(f"{arguments.page.name}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
