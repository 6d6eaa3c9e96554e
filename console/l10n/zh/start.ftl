# 首页。
title = 潮闸 Tidegate
lead = 节点正在运行。您想去哪里？
chat = 以客户身份咨询
chat-lead = 客户看到的页面：排队位置、如实的等待时间、真人客服。
desk = 以坐席身份工作
desk-lead = 来访分配、按超时风险排序的会话、全键盘操作。请用节点打印的链接登录。
wall = 观看大屏
wall-lead = 排队、服务水平和坐席状态，适合大屏幕。需要查看令牌。
api = 在此之上开发
api-lead = 本节点的 HTTP 接口。
language = English
