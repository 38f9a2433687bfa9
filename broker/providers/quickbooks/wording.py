"""What people read about QuickBooks Online."""

from broker.providers.wording import Example, Wording

SCOPES = {
    "com.intuit.quickbooks.accounting": "See and change the company's books",
    "com.intuit.quickbooks.payment": "Take payments",
    "openid": "Know who signs in",
    "profile": "See your name",
    "email": "See your e-mail address",
    "phone": "See your phone number",
    "address": "See your address",
}
"""Intuit's scopes (https://developer.intuit.com/app/developer/qbo/docs/learn/scopes)."""

WORDING = Wording(
    account="QuickBooks company",
    admin="an administrator of your QuickBooks company",
    consent="Next, Intuit asks you to sign in and which company to connect. You need to be an "
    "administrator of it.",
    ending="We never see your Intuit password, and you can disconnect at any time under “Apps” in "
    "QuickBooks.",
    colour="#1c6b2a",
    letters="QB",
    scopes=tuple(SCOPES),
    usual_scopes=("com.intuit.quickbooks.accounting",),
    describe_scope=lambda scope: SCOPES.get(scope, scope),
    credentials_from="Keys & credentials of your app at developer.intuit.com",
    examples=(Example("GET", "/v3/company/REALM/query?query=select%20%2A%20from%20Customer"),),
)
