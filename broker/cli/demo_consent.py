"""A user's consent, as a browser gives it: the sandbox's consent page, its form, the callback."""

import re
from html import unescape
from urllib.parse import urljoin

import aiohttp


async def consent(session: aiohttp.ClientSession, link: str, account: int) -> None:
    """Open an install link and allow it for an account. Raises RuntimeError when the callback does
    not connect the user.
    """
    async with session.get(link) as page:
        text = await page.text()
        where = urljoin(str(page.url), re.findall(r'action="([^"]+)"', text)[0])
    inputs = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text)
    form = {name: unescape(value) for name, value in inputs}
    form |= {"portal": str(account), "decision": "allow"}
    async with session.post(where, data=form) as landed:
        text = await landed.text()
        if landed.status != 200 or "HubSpot is connected" not in text:
            raise RuntimeError(f"the callback answered {landed.status}")
