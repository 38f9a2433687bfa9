"""KYB kickoff as backends meet it: one case for one record, whatever happens on the way."""


async def test_a_company_becomes_one_case_and_shows_it(kyb):
    company = kyb.company()

    answer = await kyb.kicks_off(company)
    again = await kyb.kicks_off(company)

    case = next(iter(kyb.fml.fml.cases.values()))
    said = answer.json()
    assert answer.status == 201
    assert said == {
        "ok": True,
        "runId": said["runId"],
        "caseId": case.case_id,
        "created": True,
        "status": "in-progress",
        "customerPortalUrl": "https://app.firstmilelabs.com/",
        "analystUrl": f"https://cases.firstmilelabs.com/?case={case.case_id}",
        "inviteSentAt": case.invited_at,
        "crmRecordId": company,
        "crmSource": "hubspot",
        "writtenBack": True,
    }
    assert case.fields == {
        "customerEmail": "jane@acme.example",
        "customerName": "Jane Doe",
        "companyName": "Acme Holdings Ltd",
        "country": "United Kingdom",
        "crmRecordId": company,
        "crmSource": "hubspot",
        "sendInvite": True,
    }
    assert kyb.asked()[0].key == f"hubspot-{company}"
    assert kyb.shows(company)["fml_case_id"] == case.case_id
    assert kyb.shows(company)["fml_case_status"] == "in-progress"
    assert again.status == 200
    assert again.json() == {**said, "created": False}
    assert (len(kyb.asked()), len(kyb.writes())) == (1, 1)
