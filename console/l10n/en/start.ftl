# The first page.
title = Tidegate
lead = This node is running. Where would you like to go?
chat = Chat as a customer
chat-lead = What your customers see: a place in the queue, an honest wait, a person.
desk = Work as an agent
desk-lead = Offers, several chats by risk of breach, every act by key. Sign in by the link that the node printed.
wall = Watch the floor
wall-lead = Queues, service level and agents, for a large screen. Needs a viewer's token.
api = Build on it
api-lead = The HTTP interface of this node.
language = 中文
