"""The portal as an asset: written from the release, which is served already."""

import dagster as dg

from orchestration.platform.addresses import reports_address
from orchestration.platform.asset_metadata import team
from orchestration.platform.front_page import lead_to
from orchestration.platform.progress import report_progress
from orchestration.platform.releases import proposed, served
from orchestration.platform.resources import Home
from orchestration.portal import build_portal
from sources.message import Message


def portal_asset(release: dg.AssetKey) -> dg.AssetsDefinition:
    """The static site of the release that a run published or proposed."""

    @dg.asset(
        key=["portal", "site"],
        deps=[release],
        group_name="portal",
        kinds={"html"},
        owners=team("data engineering"),
        description="The portal: the pages for all who look rather than query, in English and "
        "Chinese. They are in reports/<release>, and open without a network.",
    )
    def site(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
        settings = home.settings
        waiting, current = proposed(settings), served(settings)
        path = waiting or current
        if path is None:
            raise dg.Failure("nothing is published yet. Run make refresh.")
        report_progress(Message("writing the portal"))
        try:
            front = build_portal(settings, path)
        except Exception as error:
            # The release is served: what stands beside it does not fail the refresh.
            reason = f"{type(error).__name__}: {error}"
            what = Message("release {0} is served without a portal: {1}", path.stem, reason)
            report_progress(what, warns=True)
            return dg.MaterializeResult()
        if path == current:
            lead_to(settings, path.stem)
        shown = reports_address(settings, front)
        return dg.MaterializeResult(metadata={"portal": dg.MetadataValue.url(shown)})

    return site
