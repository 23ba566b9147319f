"""What people do to long crawls, each as a scenario that prints what they would look at.

`site` is what is crawled, `project` what crawls it, `stage` runs the commands, shows their output
and holds it against what the site knows. The scenarios are in the modules beside them, by subject;
`every.SCENARIOS` names them all.
"""
