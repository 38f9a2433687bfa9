"""What the catalog takes of the leads recipe."""

from pathlib import Path

from broker.recipes.addresses import ConsolePanel
from broker.recipes.base import RecipeSpec
from broker.recipes.leads.console import views
from broker.recipes.leads.console.starts import starts
from broker.recipes.leads.models import (
    NAME,
    VERSION,
    LeadsRequest,
    LeadsResponse,
    LeadsSettings,
    check_settings,
    triggers,
)
from broker.recipes.leads.recipe import LeadsRecipe
from broker.recipes.leads.requests import PROVIDER

LEADS = RecipeSpec(
    name=NAME,
    version=VERSION,
    title="Leads",
    settings=LeadsSettings,
    start=LeadsRequest,
    response=LeadsResponse,
    build=LeadsRecipe,
    check_settings=check_settings,
    triggers=triggers,
    polled_app=lambda settings: settings.salesforceApp,
    panel=ConsolePanel(
        "Leads",
        Path(__file__).parent / "templates",
        views.ROUTES,
        views.views,
        starts,
        (PROVIDER,),
    ),
)
