"""The same pages on Flask-Login."""

from flask import Flask, redirect
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user


class User(UserMixin):
    def __init__(self, id, name):
        self.id = id
        self.name = name


USERS = {"1": User(1, "Ada")}

app = Flask(__name__)
app.secret_key = b"7" * 64
login_manager = LoginManager(app)
login_manager.login_view = "log_in"
login_manager.login_message = None
login_manager.user_loader(USERS.get)


@app.get("/")
def welcome():
    return "Welcome!"


@app.get("/account")
@login_required
def account():
    return f"Hello, {current_user.name}!"


@app.post("/login")
def log_in():
    login_user(USERS["1"])
    return redirect("/")


@app.post("/logout")
def log_out():
    logout_user()
    return redirect("/")
