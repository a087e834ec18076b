// The page of one experiment, live.
import "./copy.js";
import { follow } from "./following.js";

follow();
