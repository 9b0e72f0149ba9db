"""The console: one page for every account, ECR and region, served by intake.

door ── people (who is it?) ── visit (what is asked?)
    ├─ looking (what the ledger knows) ── pages (HTML), charts
    └─ forms (was it this person's form?) ── acting (onto the queue)
"""
