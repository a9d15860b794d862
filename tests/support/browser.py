"""A person at a browser: logged in to Airflow, and watched for what goes wrong or away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

from trimtab.stack import config, control

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Visit:
    """One page of one person; `errors` and `foreign` hold what the console said, and what was asked of other hosts."""

    def __init__(self, page: Page, airflow: str) -> None:
        self.page, self.airflow = page, airflow
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.airflow}/", f"blob:{self.airflow}/", "data:")):
            self.foreign.append(request.url)


@contextmanager
def visit(home: Path, path: str, user: str = "admin") -> Iterator[Visit]:
    """Open a page of the stack's Airflow as a user, by way of Airflow's login."""
    airflow = control.addresses(home).airflow
    password = json.loads(config.passwords_file(home).read_text())[user]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        try:
            visited = Visit(chromium.new_page(viewport={"width": 1400, "height": 900}), airflow)
            visited.page.goto(f"{airflow}/auth/login?next={quote(path, safe='')}")
            visited.page.locator('input[name="username"]').fill(user)
            visited.page.locator('input[name="password"]').fill(password)
            visited.page.keyboard.press("Enter")
            visited.page.wait_for_url(f"{airflow}{path}**")
            yield visited
        finally:
            chromium.close()
