"""The console: one page for every account, ECR and region, served by intake.

door ── people (who is it?) ── forms (was it this person's form?) ── acting (onto the queue)
     └─ looking (what the ledger knows) ── pages (HTML)
"""
