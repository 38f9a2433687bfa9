"""Which e-mail addresses are looked up: those of one person, and of a company where asked."""

import re

ADDRESS = re.compile(r"[^\s@\"<>(),:;\\\[\]]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")

_ROLES_TEXT = """
    abuse accounts admin administrator billing careers contact customerservice enquiries finance
    hello help hr info inquiries invoices invoice it jobs legal mail marketing media news
    newsletter no-reply noc noreply office orders postmaster press privacy purchasing recruiting
    sales security service shop support team webmaster
"""
ROLES = frozenset(_ROLES_TEXT.split())
"""Addresses of a task: who answers them today is not who did when the vendor looked."""

_FREE_MAIL_TEXT = """
    126.com 163.com 21cn.com aol.com bigpond.com bk.ru bluewin.ch btinternet.com comcast.net
    cox.net duck.com email.com fastmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com
    gmx.de gmx.net googlemail.com hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.es
    hotmail.fr hotmail.it hushmail.com icloud.com inbox.lv inbox.ru interia.pl laposte.net
    libero.it list.ru live.co.uk live.com live.fr live.nl mac.com mail.com mail.ru me.com
    msn.com naver.com o2.pl online.de orange.fr outlook.com outlook.de outlook.fr pm.me
    posteo.de proton.me protonmail.com qq.com rediffmail.com rocketmail.com sbcglobal.net
    seznam.cz sfr.fr shaw.ca sina.com sky.com t-online.de telenet.be tutanota.com uol.com.br
    verizon.net virgilio.it wanadoo.fr web.de wp.pl ya.ru yahoo.ca yahoo.co.in yahoo.co.jp
    yahoo.co.uk yahoo.com yahoo.com.br yahoo.de yahoo.es yahoo.fr yahoo.it yandex.com yandex.ru
    ymail.com zoho.com
"""
FREE_MAIL = frozenset(_FREE_MAIL_TEXT.split())
"""Hosts whose addresses tell nothing of an employer."""


def normalised(email: str | None) -> str | None:
    """An address as it is compared and looked up; None for what is none."""
    text = (email or "").strip().lower()
    return text if ADDRESS.fullmatch(text) else None


def why_not(email: str | None, *, skip_free_mail: bool) -> str | None:
    """Why an address is not looked up; None when it is."""
    if email is None:
        return "no-email"
    name, _, host = email.partition("@")
    if name.partition("+")[0] in ROLES:
        return "role-address"
    if skip_free_mail and host in FREE_MAIL:
        return "free-mail"
    return None
